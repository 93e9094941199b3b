# A disruption budget says how many of a deployment's pods may go.

apply <<'END'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 4, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: half}
spec: {maxUnavailable: "50%", selector: {matchLabels: {a: b}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: none}
spec: {minAvailable: 1, selector: {matchLabels: {c: d}}}
END
status='{.status.expectedPods} {.status.desiredHealthy} {.status.currentHealthy} {.status.disruptionsAllowed} {.status.conditions[0].reason}'
check "pods that do not run may not go" says '^4 2 0 0 InsufficientPods' field "$status" pdb half
check "the pods run" runs a=b
check "half of them may go" says '^4 2 4 2 SufficientPods' field "$status" pdb half
check "a budget without pods allows nothing" says '^0 1 0 0 InsufficientPods' field "$status" pdb none
pod=pod/$(field '{.items[0].metadata.name}' pods -l a=b)
evict() {
    printf '{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "%s", "namespace": "budgets"}}' "${1#pod/}" |
        k create --raw "/api/v1/namespaces/budgets/pods/${1#pod/}/eviction" -f -
}
check "one goes" evict "$pod"
check "and another may" says '^4 2 3 1 SufficientPods' field "$status" pdb half
pod=pod/$(field '{.items[0].metadata.name}' pods -l a=b --field-selector status.phase=Running)
announce='{"status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
    "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}'
check "a disruption is announced" k patch "$pod" --subresource=status --type=strategic -p "$announce"
check "and retracted, as it did not come" says '^False' field '{.status.conditions[?(@.type=="DisruptionTarget")].status}' "$pod"
