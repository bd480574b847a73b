using 'aks-pods.bicep'

param clusterId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-aks/providers/Microsoft.ContainerService/managedClusters/aks-example'
param vaultId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-secrets/providers/Microsoft.KeyVault/vaults/kv-example'
param secretNames = ['oracle-entraid-token']
param namespace = 'oracle'
param serviceAccount = 'client'
