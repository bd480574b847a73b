using 'main.bicep'

// Everything comes from the environment: `azd env set NAME VALUE`, or variables of a shell or a workflow.

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')

// Addresses and resource ids are lists with commas between.
param notify = {
  emails: filter(split(readEnvironmentVariable('ALERT_EMAILS', ''), ','), entry => !empty(entry))
  actionGroupIds: filter(split(readEnvironmentVariable('ALERT_ACTION_GROUP_IDS', ''), ','), entry => !empty(entry))
}
param alertWebhookUrl = readEnvironmentVariable('ALERT_WEBHOOK_URL', '')
param runbookUrl = readEnvironmentVariable('RUNBOOK_URL', 'docs/runbook.md')

param existingVaultId = readEnvironmentVariable('EXISTING_VAULT_ID', '')
param otherVaultIds = filter(split(readEnvironmentVariable('OTHER_VAULT_IDS', ''), ','), entry => !empty(entry))
param existingWorkspaceId = readEnvironmentVariable('EXISTING_WORKSPACE_ID', '')
param existingIdentityId = readEnvironmentVariable('EXISTING_IDENTITY_ID', '')
param network = {
  isolated: bool(readEnvironmentVariable('NETWORK_ISOLATED', 'false'))
}

param alwaysReadyInstances = int(readEnvironmentVariable('ALWAYS_READY_INSTANCES', '0'))
param signInClientId = readEnvironmentVariable('SIGN_IN_CLIENT_ID', '')
param wakeOnSilence = bool(readEnvironmentVariable('WAKE_ON_SILENCE', 'false'))
