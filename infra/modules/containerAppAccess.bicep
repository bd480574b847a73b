// What the rotator may do with the Container Apps and jobs of one resource group: replace their secrets and restart
// revisions. Assigned at each app by itself, so that the group's other apps stay out of reach.
//
// `write` allows more than replacing secrets (it could change the image); Azure has no finer action. Left out are actions
// that are sometimes granted with it: joining the environment and assigning identities are asked for when a request names
// an environment or the app's identities, and the rotator's PATCH names neither; operations are not polled, because the app
// itself tells whether an update is in progress.

import { consumerNames } from '../configuration.bicep'

@description('Required. Object id of the rotator\'s identity.')
param principalId string

@description('Required. Tells this installation from others: part of the names of its roles, which are unique in a tenant.')
param installation string

@description('Required. The apps and jobs, as `consumersByGroup` gives them.')
param consumers string[]

var roles = loadJsonContent('../roles.json')
var appNames = consumerNames(consumers, 'container-app')
var jobNames = consumerNames(consumers, 'container-app-job')
var groupToken = uniqueString(resourceGroup().id)

resource apps 'Microsoft.App/containerApps@2026-01-01' existing = [
  for appName in appNames: {
    name: appName
  }
]

resource jobs 'Microsoft.App/jobs@2026-01-01' existing = [
  for jobName in jobNames: {
    name: jobName
  }
]

resource appRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (!empty(appNames)) {
  name: guid(resourceGroup().id, installation, 'containerAppUpdater')
  properties: {
    roleName: 'Token rotator ${installation}: ${roles.containerAppUpdater.name} in ${groupToken}'
    description: roles.containerAppUpdater.description
    type: 'CustomRole'
    // A role cannot be made assignable at less than a resource group.
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: map(roles.containerAppUpdater.actions, entry => entry.action)
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

resource jobRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (!empty(jobNames)) {
  name: guid(resourceGroup().id, installation, 'containerAppJobUpdater')
  properties: {
    roleName: 'Token rotator ${installation}: ${roles.containerAppJobUpdater.name} in ${groupToken}'
    description: roles.containerAppJobUpdater.description
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: map(roles.containerAppJobUpdater.actions, entry => entry.action)
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

resource appAssignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (appName, i) in appNames: {
    scope: apps[i]
    name: guid(apps[i].id, principalId, installation, 'containerAppUpdater')
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: appRole.id
      description: 'From rotations.json: ${roles.containerAppUpdater.description}'
    }
  }
]

resource jobAssignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (jobName, i) in jobNames: {
    scope: jobs[i]
    name: guid(jobs[i].id, principalId, installation, 'containerAppJobUpdater')
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: jobRole.id
      description: 'From rotations.json: ${roles.containerAppJobUpdater.description}'
    }
  }
]
