// The identity that the function app runs as: a new one, or one that exists in this resource group.

@description('Required. Name of the user-assigned identity.')
param name string

@description('Required. Region of a new identity.')
param location string

@description('Required. Tags of a new identity.')
param tags object

@description('Required. Whether the identity exists already and is only looked up.')
param isExisting bool

resource created 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (!isExisting) {
  name: name
  location: location
  tags: tags
}

resource found 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = if (isExisting) {
  name: name
}

@description('Resource id of the identity.')
output id string = isExisting ? found.id : created.id

@description('Object id: whom role assignments name, and whom the tokens speak for.')
output principalId string = isExisting ? found!.properties.principalId : created!.properties.principalId

@description('Client id: what the app passes to the identity endpoint.')
output clientId string = isExisting ? found!.properties.clientId : created!.properties.clientId
