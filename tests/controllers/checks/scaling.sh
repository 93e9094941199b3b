# A deployment grows with what its pods use. Custom resources stand for the metrics.

metrics() {
    cat <<END | apply
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: $2.$1, annotations: {api-approved.kubernetes.io: "unapproved, for a check"}}
spec: {group: $1, scope: Namespaced, names: {plural: $2, kind: $3, singular: ${2}-one}, versions: [{name: v1beta1, served: true,
  storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}
END
}
apply <<'END'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 2, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [
  {name: c, image: i, resources: {requests: {cpu: 100m}}}]}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {minReplicas: 2, maxReplicas: 6, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, metrics: [
  {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}],
  behavior: {scaleDown: {stabilizationWindowSeconds: 0, policies: [{type: Pods, value: 4, periodSeconds: 1}]}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: gone}
spec: {maxReplicas: 6, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: gone}}
END
active='{.status.conditions[?(@.type=="ScalingActive")].reason} {.status.conditions[?(@.type=="ScalingActive")].message}'
check "without metrics nothing scales" says '^FailedGetResourceMetric .*could not find the requested resource \(get pods.metrics.k8s.io\)' field "$active" hpa web
check "nor without a target" says '^FailedGetScale .*deployments.apps "gone" not found' field '{.status.conditions[0].reason} {.status.conditions[0].message}' hpa gone
check "the pods run" runs a=b
metrics metrics.k8s.io pods PodMetrics
use() {
    local pod
    for pod in $(k get pods -l a=b -o 'jsonpath={.items[*].metadata.name}'); do
        printf 'apiVersion: metrics.k8s.io/v1beta1\nkind: PodMetrics\nmetadata: {name: %s, labels: {a: b}}\ntimestamp: "2026-01-01T01:00:00Z"\nwindow: 30s\ncontainers: [{name: c, usage: {cpu: %s}}]\n---\n' "$pod" "$1"
    done | k apply -f -
}
check "they use much" use 200m
check "they become more" says '^6 6' field '{.spec.replicas} {.status.replicas}' deployment web
check "and it is said why" says 'New size: .; reason: cpu resource utilization \(percentage of request\) above target' k get events
check "the limit is named" says 'TooManyReplicas' field '{.status.conditions[*].reason}' hpa web
check "all run" runs a=b
check "they use what they should" use 50m
check "that is seen" says '^50 50m' field '{.status.currentMetrics[0].resource.current.averageUtilization} {.status.currentMetrics[0].resource.current.averageValue}' hpa web
check "they use little" use 5m
check "they become fewer" says '^2' field '{.spec.replicas}' deployment web

metrics external.metrics.k8s.io queue ExternalMetricValue
value() { printf 'apiVersion: external.metrics.k8s.io/v1beta1\nkind: ExternalMetricValue\nmetadata: {name: one, labels: {q: x}}\nvalue: "%s"\n' "$1" | k apply -f -; }
check "a queue" value 40
external='{"spec": {"metrics": [{"type": "External", "external": {"metric": {"name": "queue", "selector": {"matchLabels": {"q": "x"}}},
    "target": {"type": "AverageValue", "averageValue": "10"}}}]}}'
check "is the measure" k patch hpa web --type=merge -p "$external"
check "four of them work on it" says '^4' field '{.spec.replicas}' deployment web
