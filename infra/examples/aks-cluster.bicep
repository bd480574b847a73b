// An example of a cluster whose pods can read what the rotator keeps fresh. What matters for that is marked; the rest is
// the least that makes a cluster.
//
// Do not deploy it over an existing cluster: it states the whole cluster. For one that exists, the command in
// docs/deploy.md turns the same settings on, and aks-pods.bicep adds the rest.

@description('Required. Name of the cluster.')
param name string

@description('Optional. Region of the cluster.')
param location string = resourceGroup().location

@description('Optional. Size of the nodes.')
param vmSize string = 'Standard_D2s_v5'

@description('Optional. How often the driver looks for new versions in the vault.')
param rotationPollInterval string = '2m'

resource cluster 'Microsoft.ContainerService/managedClusters@2026-02-01' = {
  name: name
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  sku: {
    name: 'Base'
    tier: 'Standard'
  }
  properties: {
    dnsPrefix: name
    disableLocalAccounts: true
    enableRBAC: true
    aadProfile: {
      managed: true
      enableAzureRBAC: true
    }
    agentPoolProfiles: [
      {
        name: 'system'
        mode: 'System'
        count: 2
        vmSize: vmSize
        osType: 'Linux'
        osSKU: 'AzureLinux'
      }
    ]
    networkProfile: {
      networkPlugin: 'azure'
      networkPluginMode: 'overlay'
    }
    // Mounts secrets of the vault as files. Rotation is off unless it is turned on, and both settings are texts.
    addonProfiles: {
      azureKeyvaultSecretsProvider: {
        enabled: true
        config: {
          enableSecretRotation: 'true'
          rotationPollInterval: rotationPollInterval
        }
      }
    }
    // Pods prove who they are with tokens of the cluster's own issuer.
    oidcIssuerProfile: {
      enabled: true
    }
    securityProfile: {
      workloadIdentity: {
        enabled: true
      }
    }
  }
}

@description('Resource id of the cluster, for aks-pods.bicep.')
output clusterId string = cluster.id
