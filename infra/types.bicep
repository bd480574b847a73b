// Types of the parameters of main.bicep.

@export()
@description('Who is told when an alert fires. At least one receiver, or a webhook, must be given.')
@sealed()
type notificationOptions = {
  @description('Addresses that get an e-mail.')
  emails: string[]?

  @description('Resource ids of existing action groups.')
  actionGroupIds: string[]?
}

@export()
@description('A private network. The vault (if it is a new one) and the storage account are then reached by private endpoints only.')
@sealed()
type networkOptions = {
  @description('Whether there is a private network at all.')
  isolated: bool

  @description('Address range of a new network; 10.71.0.0/26 when left out.')
  addressPrefix: string?

  @description('Existing subnets, instead of a new network.')
  subnetIds: {
    @description('Resource id of an empty subnet that is delegated to Microsoft.App/environments.')
    app: string

    @description('Resource id of the subnet for private endpoints.')
    endpoints: string
  }?

  @description('Existing private DNS zones that are linked to the network, instead of new ones.')
  dnsZoneIds: {
    @description('Resource id of the zone for Key Vault.')
    vault: string

    @description('Resource id of the zone for blobs.')
    blob: string
  }?
}
