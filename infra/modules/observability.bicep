// Application Insights over a Log Analytics workspace. Only identities may send; no key is accepted.

import { builtInRole } from '../roles.bicep'

@description('Required. Ending of the names of new resources.')
param token string

@description('Required. Region of the resources.')
param location string

@description('Required. Tags of new resources.')
param tags object

@description('Required. Resource id of an existing workspace; empty for a new one.')
param existingWorkspaceId string

@description('Required. Object id of the identity that sends telemetry.')
param principalId string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = if (empty(existingWorkspaceId)) {
  name: 'log-${token}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 30
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource component 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    DisableLocalAuth: true
    IngestionMode: 'LogAnalytics'
    WorkspaceResourceId: empty(existingWorkspaceId) ? workspace.id : existingWorkspaceId
  }
}

resource sender 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: component
  name: guid(component.id, principalId, builtInRole.monitoringMetricsPublisher)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      builtInRole.monitoringMetricsPublisher
    )
  }
}

@description('Resource id of the workspace that holds every log.')
output workspaceId string = empty(existingWorkspaceId) ? workspace.id : existingWorkspaceId

@description('Resource id of the Application Insights component.')
output componentId string = component.id

@description('Where telemetry goes. No secret: the component takes telemetry only from identities with the role.')
output connectionString string = component.properties.ConnectionString
