# Requests are approved for kubelets only, and signed by the signers that have an authority.

request() {
    openssl req -new -newkey rsa:2048 -nodes -keyout "$dir/$1.key" -out "$dir/$1.csr" -subj "$2" 2>/dev/null
    printf 'apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: %s}\nspec: {request: %s, signerName: %s, expirationSeconds: 3600, usages: [%s]}\n' \
        "$1" "$(base64 -w0 "$dir/$1.csr")" "$3" "$4" | apply
}
request jane /O=g1/O=g2/CN=jane kubernetes.io/kube-apiserver-client 'digital signature, client auth'
request foreign /CN=jane example.com/signer 'client auth'
request wrong /CN=jane kubernetes.io/kubelet-serving 'server auth'
request node /O=system:nodes/CN=system:node:n1 kubernetes.io/kube-apiserver-client-kubelet 'digital signature, client auth'
check "a kubelet's is approved and signed" says '^Approved AutoApproved LS0t' field '{.status.conditions[0].type} {.status.conditions[0].reason} {.status.certificate}' csr node
check "approve the others" k certificate approve jane foreign wrong
issued() { k get csr jane -o 'jsonpath={.status.certificate}' | base64 -d >"$dir/jane.crt" && openssl verify -CAfile "$dir/ca.crt" "$dir/jane.crt"; }
check "a client's is signed" issued
check "with all groups" says '"g1","g2"' eval "whoami --cert $dir/jane.crt --key $dir/jane.key | tr -d ' \n'"
check "what a signer never signs fails" says 'SignerValidationFailure subject organization is not system:nodes' field '{.status.conditions[1].reason} {.status.conditions[1].message}' csr wrong
check "another signer's is left alone" says '^Approved $' field '{.status.conditions[*].type} {.status.certificate}' csr foreign
