// Network isolation as a whole: a network or existing subnets, and private endpoints of the vault and the storage account.

import { networkOptions } from '../types.bicep'

@description('Required. Ending of the names.')
param token string

@description('Required. Region of the resources.')
param location string

@description('Required. Tags of the resources.')
param tags object

@description('Required. What exists already.')
param options networkOptions

@description('Required. Resource id of the vault.')
param vaultId string

@description('Required. Resource id of the storage account.')
param storageId string

var hasSubnets = options.?subnetIds != null

module network 'network.bicep' = if (!hasSubnets) {
  params: {
    token: token
    location: location
    tags: tags
    addressPrefix: options.?addressPrefix ?? '10.71.0.0/26'
  }
}

var appSubnetId = options.?subnetIds.?app ?? network!.outputs.appSubnetId
var endpointSubnetId = options.?subnetIds.?endpoints ?? network!.outputs.endpointSubnetId

var services = [
  {
    groupId: 'vault'
    id: vaultId
    // privatelink.vaultcore.azure.net in the public cloud.
    zoneName: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
    existingZoneId: options.?dnsZoneIds.?vault ?? ''
  }
  {
    groupId: 'blob'
    id: storageId
    zoneName: 'privatelink.blob.${environment().suffixes.storage}'
    existingZoneId: options.?dnsZoneIds.?blob ?? ''
  }
]

module endpoints 'privateEndpoint.bicep' = [
  for service in services: {
    params: {
      name: 'pe-${service.groupId}-${token}'
      location: location
      tags: tags
      subnetId: endpointSubnetId
      networkId: split(endpointSubnetId, '/subnets/')[0]
      serviceId: service.id
      groupId: service.groupId == 'vault' ? 'vault' : 'blob'
      zoneName: service.zoneName
      existingZoneId: service.existingZoneId
    }
  }
]

@description('Resource id of the subnet that the function app sends through.')
output appSubnetId string = appSubnetId
