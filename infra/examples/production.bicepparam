using '../main.bicep'

// A production installation: an existing vault and workspace, a private network, one instance always ready.

param environmentName = 'prod'
param location = 'westeurope'
param tags = {
  owner: 'platform'
}

param notify = {
  emails: ['platform@example.org']
  actionGroupIds: [
    '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-monitoring/providers/Microsoft.Insights/actionGroups/ag-on-call'
  ]
}
param runbookUrl = 'https://example.org/keyvault-token-rotator/docs/runbook.md'

param existingVaultId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-secrets/providers/Microsoft.KeyVault/vaults/kv-example'
param existingWorkspaceId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-monitoring/providers/Microsoft.OperationalInsights/workspaces/log-shared'
param sendAuditLog = false

param network = {
  isolated: true
  addressPrefix: '10.71.0.0/26'
}

param alwaysReadyInstances = 1
param nodeVersion = '24'
param expiryWarningMinutes = 30
// The very first deployment comes before the code, and so before the function's key: false for that one.
param wakeOnSilence = true
