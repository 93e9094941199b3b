# Quotas count what comes and goes, of every kind; also of kinds that come later.

apply <<'END'
apiVersion: v1
kind: ResourceQuota
metadata: {name: all}
spec: {hard: {pods: "5", requests.cpu: "2", limits.memory: 2Gi, requests.example.com/gpu: "3", services: "5", services.nodeports: "3",
  services.loadbalancers: "2", secrets: "9", count/deployments.apps: "2", count/replicasets.apps: "2", persistentvolumeclaims: "3",
  requests.storage: 10Gi, gold.storageclass.storage.k8s.io/requests.storage: 5Gi, resourcequotas: "5"}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: idle}
spec: {hard: {pods: "5"}, scopes: [BestEffort]}
END
check "all is counted" says '"pods":"0".*"requests.cpu":"0".*"resourcequotas":"2"' field '{.status.used}' quota all
apply <<'END'
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: c, image: i, resources: {requests: {cpu: 500m}, limits: {memory: 1Gi, example.com/gpu: "1"}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: lb}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c}
spec: {storageClassName: gold, accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
END
used='"count/deployments.apps":"1","count/replicasets.apps":"1","gold.storageclass.storage.k8s.io/requests.storage":"2Gi","limits.memory":"1Gi"'
used+=',"persistentvolumeclaims":"1","pods":"1","requests.cpu":"500m","requests.example.com/gpu":"1","requests.storage":"2Gi"'
check "what comes is counted" says "$used" field '{.status.used}' quota all
check "and ports and balancers" says '"services":"1","services.loadbalancers":"1","services.nodeports":"1"' field '{.status.used}' quota all
check "a scope leaves the pod out" says '"pods":"0"' field '{.status.used}' quota idle
check "delete" k delete pod/p service/lb deployment/d persistentvolumeclaim/c --force --grace-period 0
used='"count/deployments.apps":"0","count/replicasets.apps":"0","gold.storageclass.storage.k8s.io/requests.storage":"0","limits.memory":"0"'
used+=',"persistentvolumeclaims":"0","pods":"0","requests.cpu":"0"'
check "what goes is counted" says "$used" field '{.status.used}' quota all

apply <<'END'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: foos.example.com}
spec: {group: example.com, scope: Namespaced, names: {plural: foos, kind: Foo, singular: foo}, versions: [{name: v1, served: true,
  storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: custom}
spec: {hard: {count/foos.example.com: "1"}}
END
foo() { printf 'apiVersion: example.com/v1\nkind: Foo\nmetadata: {name: %s}\n' "$1" | k apply -f -; }
patience=60 check "a new kind is counted" foo a
check "up to its limit" says 'exceeded quota: custom' foo b
check "delete" k delete foos/a
check "and freed" foo b
