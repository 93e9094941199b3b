# Claims get volumes, provisioners are asked, and both sides are protected while they are used.

apply <<'END'
apiVersion: v1
kind: PersistentVolume
metadata: {name: small}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: manual, nfs: {server: s, path: /}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: labelled, labels: {k: "v"}}
spec: {capacity: {storage: 2Gi}, accessModes: [ReadWriteOnce, ReadOnlyMany], storageClassName: manual, nfs: {server: s, path: /}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: reserved}
spec: {capacity: {storage: 5Gi}, accessModes: [ReadWriteOnce], nfs: {server: s, path: /}, persistentVolumeReclaimPolicy: Delete,
  claimRef: {namespace: volumes, name: pre}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: late}
provisioner: example.com/p
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: dynamic}
provisioner: example.com/p
END
claim() {
    printf 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: %s}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: %s}}%s}\n' \
        "$1" "$2" "$3" | apply
}
claim any 1Gi ', storageClassName: manual'
claim chosen 1Gi ', storageClassName: manual, selector: {matchLabels: {k: "v"}}'
claim pre 1Gi ', storageClassName: ""'
claim large 9Gi ', storageClassName: manual, volumeName: labelled'
claim waiting 1Gi ', storageClassName: late'
claim asking 1Gi ', storageClassName: dynamic'
claim classless 1Gi ''
bound='{.status.phase} {.spec.volumeName} {.status.capacity.storage}'
check "a claim gets the smallest volume" says '^Bound small 1Gi' field "$bound" pvc any
check "or the one that it selects" says '^Bound labelled 2Gi' field "$bound" pvc chosen
check "or the one that is reserved for it" says '^Bound reserved 5Gi' field "$bound" pvc pre
check "what the controller chose is marked" says 'bind-completed":"yes","pv.kubernetes.io/bound-by-controller":"yes' field '{.metadata.annotations}' pvc any
check "the volume knows its claim" says '^Bound any PersistentVolumeClaim' field '{.status.phase} {.spec.claimRef.name} {.spec.claimRef.kind}' pv small
check "a volume has one claim" says 'volume "labelled" already bound to a different claim' k get events
check "a consumer is waited for" says 'waiting for first consumer' k get events
check "the provisioner is asked" says 'example.com/p' field '{.metadata.annotations.volume\.kubernetes\.io/storage-provisioner}' pvc asking
check "and the user is told" says 'external provisioner .example.com/p. or manually' k get events
check "without a class there is none" says 'no persistent volumes available for this claim and no storage class is set' k get events
check "a class becomes the default" k annotate storageclass dynamic storageclass.kubernetes.io/is-default-class=true
check "and the claim's" says '^dynamic' field '{.spec.storageClassName}' pvc classless

apply <<'END'
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec: {nodeName: n1, tolerations: [{operator: Exists}], containers: [{name: c, image: i}], volumes: [
  {name: v, persistentVolumeClaim: {claimName: any}}, {name: e, ephemeral: {volumeClaimTemplate: {metadata: {labels: {l: "v"}},
  spec: {storageClassName: late, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}]}
END
check "an ephemeral volume gets a claim" says '^user v late' field '{.metadata.ownerReferences[0].name} {.metadata.labels.l} {.spec.storageClassName}' pvc user-e
check "nodes are told how long to keep secrets" says '^0' field '{.metadata.annotations.node\.alpha\.kubernetes\.io/ttl}' node n1
check "delete a claim that is used" k delete pvc any --wait=false
check "delete its volume" k delete pv small --wait=false
check "the claim stays" says '^2' field '{.metadata.deletionTimestamp}' pvc any
check "the pod goes" k delete pod user --force --grace-period 0
check "so the claim goes" gone pvc any
check "and the volume" gone pv small
check "and the ephemeral claim" gone pvc user-e
check "delete the others" k delete pvc chosen pre --wait=false
check "a volume to be kept is released" says '^Released' field '{.status.phase}' pv labelled
check "one that nobody can delete has failed" says '^Failed error getting deleter volume plugin' field '{.status.phase} {.status.message}' pv reserved
check "delete them" k delete pv labelled reserved --wait=false
check "they go" says "No resources found" k get pv
