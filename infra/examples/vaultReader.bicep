// Lets one identity read the named secrets of a vault. Lives in the vault's resource group.

import { builtInRole, onlyNamed } from '../roles.bicep'

@description('Required. Name of the vault.')
param vaultName string

@description('Required. Object id of the identity.')
param principalId string

@description('Required. Names of the secrets.')
@minLength(1)
param secretNames string[]

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource reader 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, principalId, builtInRole.keyVaultSecretsUser)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', builtInRole.keyVaultSecretsUser)
    condition: onlyNamed('Microsoft.KeyVault/vaults/secrets/getSecret/action', 'Resource', secretNames)
    conditionVersion: '2.0'
  }
}
