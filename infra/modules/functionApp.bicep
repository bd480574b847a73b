// The function app on a Flex Consumption plan. It has no key and no connection string: storage, telemetry, vaults and apps
// are all reached with its identity.

@description('Required. Name of the function app, unique in the world.')
@minLength(2)
@maxLength(60)
param name string

@description('Required. Region of the app.')
param location string

@description('Required. Tags of the plan and the app.')
param tags object

@description('Required. Value of the tag `azd-service-name`, by which deployments find the app.')
param serviceName string

@description('Required. Resource id of the user-assigned identity that the app runs as.')
param identityId string

@description('Required. Client id of that identity.')
param identityClientId string

@description('Required. Address of the blob service that keeps the host\'s state.')
param blobEndpoint string

@description('Required. Address of the container for deployed packages.')
param deploymentContainerUrl string

@description('Required. Connection string of Application Insights.')
param applicationInsightsConnectionString string

@description('Required. Resource id of the subnet for outbound traffic; empty for none.')
param subnetId string

@description('Required. Node.js version.')
param nodeVersion string

@description('Required. Memory of an instance in MB.')
param instanceMemoryMb int

@description('Required. Instances that are kept running for the timer.')
param alwaysReadyInstances int

@description('Required. Settings of the rotator itself.')
param settings object

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': serviceName })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'node'
        version: nodeVersion
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMb
        // The least that the plan takes in every region. The timer runs on one instance; the rest serve HTTP.
        maximumInstanceCount: 40
        alwaysReady: alwaysReadyInstances == 0
          ? []
          : [
              {
                name: 'function:tick'
                instanceCount: alwaysReadyInstances
              }
            ]
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
    }
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: union(
      {
        // The timer needs no more of the storage account than blobs.
        AzureWebJobsStorage__blobServiceUri: blobEndpoint
        AzureWebJobsStorage__credential: 'managedidentity'
        AzureWebJobsStorage__clientId: identityClientId
        APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
        APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
        AZURE_CLIENT_ID: identityClientId
      },
      settings
    )
  }

  // Deployments sign in with Entra ID; user names and passwords for publishing stay off.
  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: {
      allow: false
    }
  }

  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: {
      allow: false
    }
  }
}

@description('Name of the function app.')
output name string = app.name

@description('Host name of the function app.')
output hostName string = app.properties.defaultHostName
