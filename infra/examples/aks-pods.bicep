// For an existing cluster: an identity for the pods, trusted by the cluster's service account, that may read the named
// secrets and no others. The cluster needs its OIDC issuer, workload identity and the Key Vault add-on (docs/deploy.md).

@description('Required. Resource id of the cluster.')
param clusterId string

@description('Required. Resource id of the vault.')
param vaultId string

@description('Required. Names of the secrets that the pods mount: outputs of rotations.json.')
@minLength(1)
param secretNames string[]

@description('Required. Kubernetes namespace of the pods.')
param namespace string

@description('Required. Kubernetes service account of the pods.')
param serviceAccount string

@description('Optional. Region of the identity.')
param location string = resourceGroup().location

@description('Optional. Name of the identity.')
param identityName string = 'id-${namespace}-${serviceAccount}'

resource cluster 'Microsoft.ContainerService/managedClusters@2026-02-01' existing = {
  scope: resourceGroup(split(clusterId, '/')[2], split(clusterId, '/')[4])
  name: last(split(clusterId, '/'))
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: identityName
  location: location

  resource trust 'federatedIdentityCredentials' = {
    name: '${namespace}-${serviceAccount}'
    properties: {
      issuer: cluster.properties.oidcIssuerProfile.issuerURL
      subject: 'system:serviceaccount:${namespace}:${serviceAccount}'
      audiences: [
        'api://AzureADTokenExchange'
      ]
    }
  }
}

module reader 'vaultReader.bicep' = {
  scope: resourceGroup(split(vaultId, '/')[2], split(vaultId, '/')[4])
  params: {
    vaultName: last(split(vaultId, '/'))
    principalId: identity.properties.principalId
    secretNames: secretNames
  }
}

@description('Client id for the SecretProviderClass and the service account\'s annotation.')
output clientId string = identity.properties.clientId
