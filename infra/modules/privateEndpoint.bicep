// A private endpoint of one service, with the DNS record that leads to it.

@description('Required. Name of the endpoint.')
param name string

@description('Required. Region of the endpoint; that of its subnet.')
param location string

@description('Required. Tags of the endpoint and of a new zone.')
param tags object

@description('Required. Resource id of the subnet.')
param subnetId string

@description('Required. Resource id of the network that looks names up in a new zone.')
param networkId string

@description('Required. Resource id of the service.')
param serviceId string

@description('Required. Which part of the service: `vault` or `blob`.')
param groupId 'vault' | 'blob'

@description('Required. Name of the private DNS zone of such services.')
param zoneName string

@description('Required. Resource id of an existing zone, already linked to the network; empty for a new one.')
param existingZoneId string

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = if (empty(existingZoneId)) {
  name: zoneName
  location: 'global'
  tags: tags

  resource link 'virtualNetworkLinks' = {
    name: uniqueString(networkId)
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: networkId
      }
    }
  }
}

resource endpoint 'Microsoft.Network/privateEndpoints@2025-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: groupId
        properties: {
          privateLinkServiceId: serviceId
          groupIds: [
            groupId
          ]
        }
      }
    ]
  }

  resource records 'privateDnsZoneGroups' = {
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: groupId
          properties: {
            privateDnsZoneId: empty(existingZoneId) ? zone.id : existingZoneId
          }
        }
      ]
    }
  }
}
