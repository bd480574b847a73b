metadata name = 'Token rotator'
metadata description = 'Keeps short-lived tokens fresh in Azure Key Vault, and tells somebody long before one runs out.'

targetScope = 'resourceGroup'

import {
  consumersByGroup
  defaultVaultName
  rotationNames
  rotationOutputs
  secretsIn
  secretsRead
  secretsUpdated
  secretsWritten
  tickMinutes
  vaultsNamed
} from 'configuration.bicep'
import { networkOptions, notificationOptions } from 'types.bicep'

// --- What to deploy -------------------------------------------------------------------------------------------------

@description('Required. Name of this installation, such as `prod`. Part of the names of its resources.')
@minLength(1)
@maxLength(20)
param environmentName string

@description('Optional. Region. It must offer the Flex Consumption plan.')
param location string = resourceGroup().location

@description('Optional. Tags of every resource.')
param tags object = {}

@description('Required. Who is told when an alert fires.')
param notify notificationOptions

@description('Optional. Address that alerts are posted to as well, in the common alert schema.')
@secure()
param alertWebhookUrl string = ''

@description('Optional. Where docs/runbook.md can be read; every alert links to one of its sections.')
param runbookUrl string = 'docs/runbook.md'

// --- New or existing ------------------------------------------------------------------------------------------------

@description('Optional. Resource id of an existing vault, with roles as its permission model. Empty for a new vault, which is named as `vault` in rotations.json says.')
param existingVaultId string = ''

@description('Optional. Resource ids of the other vaults that rotations.json names.')
param otherVaultIds string[] = []

@description('Optional. Resource id of an existing Log Analytics workspace. Empty for a new one.')
param existingWorkspaceId string = ''

@description('Optional. Resource id of an existing user-assigned identity. Empty for a new one.')
param existingIdentityId string = ''

@description('Optional. Private network. Open to the internet, behind Entra ID, when left out.')
param network networkOptions = { isolated: false }

// --- How it runs ----------------------------------------------------------------------------------------------------

@description('Optional. Instances that are kept running for the timer, and paid for all the time. One spares every tick the cold start.')
@minValue(0)
@maxValue(3)
param alwaysReadyInstances int = 0

@description('Optional. Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMb int = 2048

@description('Optional. Node.js version.')
@allowed(['22', '24'])
param nodeVersion string = '22'

@description('Optional. Whether roles on secrets are limited to the names in rotations.json by role assignment conditions, which Key Vault offers as a preview. Without them the rotator may set and read every secret of the vault.')
param limitRolesByName bool = true

@description('Optional. Days in which a deleted secret of a new vault can be recovered. Fixed once the vault exists.')
@minValue(7)
@maxValue(90)
param softDeleteDays int = 90

@description('Optional. Client id of an app registration. With it, people and programs sign in with Entra ID to reach the HTTP functions and the status page; without it, they send function keys.')
param signInClientId string = ''

// --- When to tell ---------------------------------------------------------------------------------------------------

@description('Optional. Minutes before its expiry at which a secret should have been renewed. Tokens that live for less than four times as long are told at a quarter of their life.')
@minValue(5)
@maxValue(1440)
param expiryWarningMinutes int = 15

@description('Optional. Hours that the longest-lived token lives. An hour later the vault\'s audit log must have shown a new version.')
@minValue(1)
@maxValue(46)
param longestTokenHours int = 24

@description('Optional. Whether the vaults\' audit logs are sent to the workspace. Turn it off for vaults that do so already: Azure refuses to send a log to one workspace twice. The watcher needs the log in the workspace either way.')
param sendAuditLog bool = true

@description('Optional. Whether a silent rotator is called over HTTP. Turn it on after the code has been deployed once: the key of the function does not exist before.')
param wakeOnSilence bool = false

// --- What follows from that -----------------------------------------------------------------------------------------

var configuration = loadJsonContent('../rotations.json')
var configuredVaultName = defaultVaultName(configuration)
var existingVaultName = toLower(last(split(existingVaultId, '/')))
var otherVaultNames = map(otherVaultIds, id => toLower(last(split(id, '/'))))
var unknownVaultNames = filter(
  vaultsNamed(configuration),
  name => !contains(concat([configuredVaultName, existingVaultName], otherVaultNames), name)
)
var isOtherVault = !empty(existingVaultName) && !empty(configuredVaultName) && configuredVaultName != existingVaultName
var hasOwnReceivers = !empty(notify.?emails ?? []) || !empty(alertWebhookUrl)
var hasReceivers = hasOwnReceivers || !empty(notify.?actionGroupIds ?? [])
var faults = concat(
  hasReceivers ? [] : ['Alerts would reach nobody: give notify.emails, notify.actionGroupIds or alertWebhookUrl.'],
  isOtherVault
    ? ['rotations.json names the vault ${configuredVaultName}, but existingVaultId the vault ${existingVaultName}.']
    : [],
  empty(unknownVaultNames)
    ? []
    : ['rotations.json names vaults that are not in otherVaultIds: ${join(unknownVaultNames, ', ')}.']
)

// Every name ends with it, so that a deployment with a fault fails before it has made anything.
var token = empty(faults) ? uniqueString(resourceGroup().id, environmentName) : fail(join(faults, ' '))
var allTags = union(tags, { 'azd-env-name': environmentName })

var newVaultName = empty(configuredVaultName) ? 'kv-${token}' : configuredVaultName
var vaultName = empty(existingVaultId) ? newVaultName : last(split(existingVaultId, '/'))
var vaultId = empty(existingVaultId) ? resourceId('Microsoft.KeyVault/vaults', newVaultName) : existingVaultId
var vaultIds = concat([vaultId], otherVaultIds)
var vaultUrl = 'https://${vaultName}${environment().suffixes.keyvaultDns}'

var wakeFunction = { name: 'tick-now', route: 'api/tick' }
var queryValues = {
  componentId: observability.outputs.componentId
  rotations: join(rotationNames(configuration), ',')
  outputs: string(map(rotationOutputs(configuration), output => {
    rotation: output.rotation
    vault: empty(output.vault) ? toLower(vaultName) : output.vault
    secret: output.secret
  }))
  // Three ticks, and the time that telemetry takes to arrive.
  silenceMinutes: string(3 * tickMinutes(configuration) + 5)
  warningMinutes: string(expiryWarningMinutes)
  longestTokenHours: string(longestTokenHours)
  principalId: identity.outputs.principalId
}

// --- The house ------------------------------------------------------------------------------------------------------

module identity 'modules/identity.bicep' = {
  scope: empty(existingIdentityId)
    ? resourceGroup()
    : resourceGroup(split(existingIdentityId, '/')[2], split(existingIdentityId, '/')[4])
  params: {
    name: empty(existingIdentityId) ? 'id-token-rotator-${token}' : last(split(existingIdentityId, '/'))
    location: location
    tags: allTags
    isExisting: !empty(existingIdentityId)
  }
}

module observability 'modules/observability.bicep' = {
  params: {
    token: token
    location: location
    tags: allTags
    existingWorkspaceId: existingWorkspaceId
    principalId: identity.outputs.principalId
  }
}

module vault 'modules/keyVault.bicep' = if (empty(existingVaultId)) {
  params: {
    name: newVaultName
    location: location
    tags: allTags
    isPrivate: network.isolated
    softDeleteDays: softDeleteDays
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    name: 'st${token}'
    location: location
    tags: allTags
    principalId: identity.outputs.principalId
    isPrivate: network.isolated
  }
}

module functionApp 'modules/functionApp.bicep' = {
  params: {
    name: 'func-token-rotator-${token}'
    location: location
    tags: allTags
    serviceName: 'rotator'
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    blobEndpoint: storage.outputs.blobEndpoint
    deploymentContainerUrl: storage.outputs.deploymentContainerUrl
    applicationInsightsConnectionString: observability.outputs.connectionString
    subnetId: privateNetwork.?outputs.?appSubnetId ?? ''
    nodeVersion: nodeVersion
    instanceMemoryMb: instanceMemoryMb
    alwaysReadyInstances: alwaysReadyInstances
    settings: {
      HTTP_ACCESS: empty(signInClientId) ? 'key' : 'entra'
      KEY_VAULT_URL: vaultUrl
      LEASE_CONTAINER_URL: storage.outputs.leaseContainerUrl
      ROTATION_SCHEDULE: '0 */${tickMinutes(configuration)} * * * *'
    }
  }
}

module entraSignIn 'modules/entraSignIn.bicep' = if (!empty(signInClientId)) {
  params: {
    functionAppName: functionApp.outputs.name
    clientId: signInClientId
  }
}

// --- What it may do, from rotations.json ----------------------------------------------------------------------------

module vaultAccess 'modules/vaultAccess.bicep' = [
  for (id, i) in vaultIds: {
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      vaultName: last(split(id, '/'))
      principalId: identity.outputs.principalId
      installation: token
      written: secretsIn(secretsWritten(configuration), last(split(id, '/')), i == 0)
      read: secretsIn(secretsRead(configuration), last(split(id, '/')), i == 0)
      updated: secretsIn(secretsUpdated(configuration), last(split(id, '/')), i == 0)
      isLimitedByName: limitRolesByName
    }
    dependsOn: [
      vault
    ]
  }
]

module containerAppAccess 'modules/containerAppAccess.bicep' = [
  for group in items(consumersByGroup(configuration)): {
    scope: resourceGroup(split(group.key, '/')[0], split(group.key, '/')[1])
    params: {
      principalId: identity.outputs.principalId
      installation: token
      consumers: group.value
    }
  }
]

// --- A private network, when asked for ------------------------------------------------------------------------------

module privateNetwork 'modules/privateNetwork.bicep' = if (network.isolated) {
  params: {
    token: token
    location: location
    tags: allTags
    options: network
    vaultId: vaultId
    storageId: storage.outputs.id
  }
  dependsOn: [
    vault
  ]
}

// --- Who watches ----------------------------------------------------------------------------------------------------

module auditLogs 'modules/vaultAuditLog.bicep' = [
  for id in sendAuditLog ? vaultIds : []: {
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      vaultName: last(split(id, '/'))
      workspaceId: observability.outputs.workspaceId
      installation: token
    }
    dependsOn: [
      vault
    ]
  }
]

module receivers 'modules/actionGroup.bicep' = if (hasOwnReceivers) {
  params: {
    name: 'ag-token-rotator-${token}'
    tags: allTags
    emails: notify.?emails ?? []
    webhookUrl: alertWebhookUrl
  }
}

module alerts 'modules/alerts.bicep' = {
  params: {
    location: location
    tags: allTags
    token: token
    workspaceId: observability.outputs.workspaceId
    values: queryValues
    actionGroupIds: concat(notify.?actionGroupIds ?? [], hasOwnReceivers ? [receivers!.outputs.id] : [])
    runbookUrl: runbookUrl
  }
}

module wake 'modules/wake.bicep' = if (wakeOnSilence) {
  params: {
    location: location
    tags: allTags
    token: token
    workspaceId: observability.outputs.workspaceId
    values: queryValues
    functionAppName: functionApp.outputs.name
    functionName: wakeFunction.name
    route: wakeFunction.route
  }
}

module workbook 'modules/workbook.bicep' = {
  params: {
    installation: token
    location: location
    tags: allTags
    workspaceId: observability.outputs.workspaceId
    componentId: observability.outputs.componentId
  }
}

// --- What the operator needs to know --------------------------------------------------------------------------------

@description('Name of the function app.')
output FUNCTION_APP_NAME string = functionApp.outputs.name

@description('Address of the function app.')
output FUNCTION_APP_URL string = 'https://${functionApp.outputs.hostName}'

@description('Address of the default vault.')
output KEY_VAULT_URL string = vaultUrl

@description('Resource id of the identity that the tokens speak for.')
output IDENTITY_ID string = identity.outputs.id

@description('Client id of that identity: what is assigned app roles at an API.')
output IDENTITY_CLIENT_ID string = identity.outputs.clientId

@description('Object id of that identity: what becomes a database principal.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId

@description('Resource id of the workspace with every log.')
output LOG_ANALYTICS_WORKSPACE_ID string = observability.outputs.workspaceId
