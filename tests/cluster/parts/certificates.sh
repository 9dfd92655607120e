# shellcheck shell=bash
# One authority; for each component of the cluster a certificate, and a kubeconfig that holds it.

certificates() {
  [[ -f $PKI/complete ]] && return 0
  local service=IP:$API_IP,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
  # Joined by &&: on the left of || a command that fails does not end the others, whatever `set -e` says.
  (
    cd "$PKI" &&
      openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 -subj /CN=test-cluster &&
      openssl genrsa -out sa.key 2048 &&
      openssl rsa -in sa.key -pubout -out sa.pub &&
      pair apiserver /CN=kube-apiserver "IP:$NODE_IP,IP:127.0.0.1,DNS:localhost,$service" &&
      pair admin /O=system:masters/CN=admin DNS:admin &&
      pair controller-manager /CN=system:kube-controller-manager DNS:controller-manager &&
      pair scheduler /CN=system:kube-scheduler DNS:scheduler &&
      pair proxy /CN=system:kube-proxy DNS:proxy &&
      pair kubelet /O=system:nodes/CN=system:node:node-1 "DNS:node-1,IP:$NODE_IP" &&
      touch complete
  ) >"$LOG/certificates.log" 2>&1 || fail "the certificates cannot be made: see $LOG/certificates.log"
}

pair() { # NAME SUBJECT NAMES
  local config=("$BIN/kubectl" config "--kubeconfig=$STATE/$1.kubeconfig")
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3" >"$1.ext" &&
    openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" &&
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt" &&
    "${config[@]}" set-cluster test --server="https://$NODE_IP:6443" --certificate-authority=ca.crt --embed-certs &&
    "${config[@]}" set-credentials me --client-certificate="$1.crt" --client-key="$1.key" --embed-certs &&
    "${config[@]}" set-context test --cluster=test --user=me &&
    "${config[@]}" use-context test
}
