package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	eventing "knative.dev/eventing/pkg/client/clientset/versioned"

	leat "leat.dev/leat/pkg/client/clientset/versioned"
)

// A cluster is a control plane without nodes: an etcd, a kube-apiserver, and
// clients that may do everything. There is no kube-controller-manager: nothing
// is garbage collected, no namespace is ever gone, no Deployment gets pods.
type cluster struct {
	dir       string
	url       string
	keys      keys
	etcd      *program
	apiserver *program

	kube     kubernetes.Interface
	eventing eventing.Interface
	leat     leat.Interface
	objects  dynamic.Interface
	// knative acts as Knative's controller, which writes what others may not.
	knative leat.Interface
}

// startCluster starts one with its state and logs in dir.
func startCluster(ctx context.Context, dir string) (*cluster, error) {
	c := &cluster{dir: dir}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if err := errors.Join(c.etcd.start(), c.apiserver.start(), c.waitReady(ctx)); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *cluster) prepare() error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	var etcd, peer, apiserver string
	if err := freeAddresses(&etcd, &peer, &apiserver); err != nil {
		return err
	}
	etcdURL, peerURL := "http://"+etcd, "http://"+peer
	c.url = "https://" + apiserver
	var err error
	if c.keys, err = makeKeys(c.dir); err != nil {
		return err
	}
	// Nothing here outlives the machine, so nothing is synced to disk.
	c.etcd = newProgram(c.dir, "etcd", controlPlane, "etcd",
		"--name=test", "--data-dir="+filepath.Join(c.dir, "etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster=test="+peerURL)
	c.apiserver = newProgram(c.dir, "kube-apiserver", controlPlane, "kube-apiserver",
		"--etcd-servers="+etcdURL, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", "--secure-port="+port(apiserver), "--service-cluster-ip-range=10.0.0.0/20",
		"--client-ca-file="+c.keys.ca, "--tls-cert-file="+c.keys.serverCert, "--tls-private-key-file="+c.keys.serverKey,
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+c.keys.tokensPublic,
		"--service-account-signing-key-file="+c.keys.tokensKey, "--authorization-mode=RBAC", "--profiling=false")
	return c.connect()
}

func (c *cluster) connect() error {
	config := &rest.Config{
		Host:            c.url,
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.keys.ca, CertFile: c.keys.adminCert, KeyFile: c.keys.adminKey},
		QPS:             -1,
	}
	knative := rest.CopyConfig(config)
	knative.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + system + ":eventing-controller",
		Groups:   []string{"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:" + system},
	}
	var errs [5]error
	c.kube, errs[0] = kubernetes.NewForConfig(config)
	c.eventing, errs[1] = eventing.NewForConfig(config)
	c.leat, errs[2] = leat.NewForConfig(config)
	c.objects, errs[3] = dynamic.NewForConfig(config)
	c.knative, errs[4] = leat.NewForConfig(knative)
	return errors.Join(errs[:]...)
}

// waitReady waits until the API server answers requests.
func (c *cluster) waitReady(ctx context.Context) error {
	return poll(ctx, startTimeout, func(ctx context.Context) error {
		if !c.etcd.running() || !c.apiserver.running() {
			return stopPolling(fmt.Errorf("the control plane ended:\n%s%s", c.etcd.tail(20), c.apiserver.tail(20)))
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		answer, err := c.kube.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("kube-apiserver is not ready: %w: %s", err, answer)
		}
		return nil
	})
}

// stop ends the control plane. Nobody needs its state any more.
func (c *cluster) stop() error { return errors.Join(c.apiserver.kill(), c.etcd.kill()) }

// kubeconfig writes a file by which a client is the bearer of a token, and
// returns its path.
func (c *cluster) kubeconfig(name, token string) (string, error) {
	path := filepath.Join(c.dir, name+".kubeconfig")
	return path, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: c.url, CertificateAuthority: c.keys.ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: name}},
		CurrentContext: "test",
	}, path)
}
