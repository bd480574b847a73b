// What the rotator may do in one vault: set the secrets that it keeps fresh, read metadata, and read the values of those
// secrets only that a source must read. Lives in the vault's resource group.

import { onlyNamed } from '../roles.bicep'

@description('Required. Name of the vault.')
param vaultName string

@description('Required. Object id of the rotator\'s identity.')
param principalId string

@description('Required. Tells this installation from others: part of the names of its roles, which are unique in a tenant.')
param installation string

@description('Required. Names of the secrets that may be set.')
param written string[]

@description('Required. Names of the secrets whose values may be read.')
param read string[]

@description('Required. Names of the secrets whose tags may be changed and whose versions may be disabled.')
param updated string[]

@description('Required. Whether the roles are limited to these names by conditions. Without them they hold for the whole vault.')
param isLimitedByName bool

var roles = loadJsonContent('../roles.json')

// A role that is needed for no secret is neither made nor assigned.
var grants = filter(
  [
    {
      key: 'secretWriter'
      role: roles.secretWriter
      names: written
      condition: onlyNamed('Microsoft.KeyVault/vaults/secrets/setSecret/action', 'Request', written)
    }
    {
      key: 'secretReader'
      role: roles.secretReader
      names: read
      condition: onlyNamed('Microsoft.KeyVault/vaults/secrets/getSecret/action', 'Resource', read)
    }
    {
      key: 'secretUpdater'
      role: roles.secretUpdater
      names: updated
      condition: onlyNamed('Microsoft.KeyVault/vaults/secrets/update/action', 'Resource', updated)
    }
  ],
  grant => !empty(grant.names)
)

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource definitions 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for grant in grants: {
    name: guid(vault.id, installation, grant.key)
    properties: {
      roleName: 'Token rotator ${installation}: ${grant.role.name} in ${vaultName}'
      description: grant.role.description
      type: 'CustomRole'
      // A role cannot be made assignable at less than a resource group.
      assignableScopes: [
        resourceGroup().id
      ]
      permissions: [
        {
          actions: []
          notActions: []
          dataActions: map(grant.role.dataActions, entry => entry.action)
          notDataActions: []
        }
      ]
    }
  }
]

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (grant, i) in grants: {
    scope: vault
    name: guid(vault.id, principalId, installation, grant.key)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: definitions[i].id
      description: 'From rotations.json: ${grant.role.description}'
      condition: isLimitedByName ? grant.condition : null
      conditionVersion: isLimitedByName ? '2.0' : null
    }
  }
]
