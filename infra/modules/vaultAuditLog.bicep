// Sends a vault's audit log to the workspace, in the table AZKVAuditLogs: who set which secret and when, whether or not the
// rotator's own telemetry works. Lives in the vault's resource group.

@description('Required. Name of the vault.')
param vaultName string

@description('Required. Resource id of the workspace.')
param workspaceId string

@description('Required. Tells this installation from others: part of the setting\'s name.')
param installation string

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'token-rotator-${installation}'
  properties: {
    workspaceId: workspaceId
    // Without this the log goes to AzureDiagnostics, where the alert does not look.
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}
