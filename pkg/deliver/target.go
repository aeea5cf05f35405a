package deliver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"leat.dev/leat/pkg/http1"
	"leat.dev/leat/pkg/routing"
)

// Bounds of what is remembered about destinations. Past them the oldest are
// made anew when they are needed.
const (
	maxTargets    = 4096
	maxTransports = 64
)

// maxIdlePerHost of a transport lets several routes of the default 100 deliveries
// in flight share a host without closing connections that are needed in a moment.
const maxIdlePerHost = 512

// target is a destination made ready for requests.
type target struct {
	transport     *http.Transport
	template      *http.Request
	authorization []string
	// start is how requests over plain HTTP/1.1 begin, to addr; nil if they go
	// over the transport.
	start []byte
	addr  string
	// large holds a token for each large reply that is being read.
	large chan struct{}
}

type targetKey struct{ url, caCerts string }

// targets keeps the targets, connections for plain HTTP/1.1, and one transport for
// each set of trusted certificates.
type targets struct {
	agent []string
	plain *http1.Client
	proxy func(*http.Request) (*url.URL, error)

	mu         *sync.RWMutex
	byKey      map[targetKey]*target
	transports map[string]*http.Transport
	// age holds the keys of transports, oldest first.
	age []string
}

func newTargets(agent string, proxy func(*http.Request) (*url.URL, error)) targets {
	return targets{
		agent:      []string{agent},
		plain:      http1.New(http1.Options{}),
		proxy:      proxy,
		mu:         new(sync.RWMutex),
		byKey:      make(map[targetKey]*target),
		transports: make(map[string]*http.Transport),
	}
}

func (ts *targets) get(dest *routing.Destination) (*target, error) {
	key := targetKey{dest.URL, dest.CACerts}
	ts.mu.RLock()
	t := ts.byKey[key]
	ts.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	return ts.add(key)
}

func (ts *targets) add(key targetKey) (*target, error) {
	u, err := parseURL(key.url)
	if err != nil {
		return nil, err
	}
	t := &target{large: make(chan struct{}, largeReplies), template: &http.Request{
		Method: http.MethodPost, URL: u, Host: u.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}}
	if u.User != nil {
		password, _ := u.User.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		t.authorization = []string{"Basic " + basic}
	}
	if u.Scheme == "http" && ts.proxy == nil {
		if err := t.direct(ts.agent); err != nil {
			return nil, fmt.Errorf("%s: %w", u.Redacted(), err)
		}
	}

	ts.mu.Lock()
	defer ts.mu.Unlock()
	if first := ts.byKey[key]; first != nil {
		return first, nil // another was faster; the bounds are of both
	}
	if t.transport, err = ts.transport(key.caCerts); err != nil {
		return nil, fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	if len(ts.byKey) >= maxTargets {
		clear(ts.byKey)
	}
	ts.byKey[key] = t
	return t, nil
}

// direct makes the target one that needs no transport.
func (t *target) direct(agent []string) (err error) {
	u := t.template.URL
	if t.start, err = startOf(t.template, t.authorization, agent); err != nil {
		return err
	}
	host, err := httpguts.PunycodeHostPort(u.Host)
	if err != nil {
		return err
	}
	if t.addr = host; u.Port() == "" {
		t.addr = net.JoinHostPort(strings.Trim(strings.TrimSuffix(host, ":"), "[]"), "80")
	}
	return nil
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		// The error of url.Parse shows the URL, with its password.
		return nil, errors.New("the address of the destination is no URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		const must = "must begin with http:// or https:// and a host"
		shown := u.Redacted()
		if u.User = nil; strings.Contains(u.String(), "@") { // perhaps a password where Redacted sees none
			return nil, errors.New("the address of the destination " + must)
		}
		return nil, fmt.Errorf("the address %q %s", shown, must)
	}
	u.Fragment = ""
	return u, nil
}

// transport returns the one that trusts the certificates. ts.mu is held.
func (ts *targets) transport(caCerts string) (*http.Transport, error) {
	if tr := ts.transports[caCerts]; tr != nil {
		return tr, nil
	}
	tr, err := newTransport(caCerts, ts.proxy)
	if err != nil {
		return nil, err
	}
	if len(ts.age) >= maxTransports {
		ts.dropOldest()
	}
	ts.transports[caCerts] = tr
	ts.age = append(ts.age, caCerts)
	return tr, nil
}

// dropOldest forgets a transport. Connections that are in use close when they
// have been idle for long enough.
func (ts *targets) dropOldest() {
	oldest := ts.age[0]
	ts.age = slices.Delete(ts.age, 0, 1)
	ts.transports[oldest].CloseIdleConnections()
	delete(ts.transports, oldest)
	for key := range ts.byKey {
		if key.caCerts == oldest {
			delete(ts.byKey, key)
		}
	}
}

func (ts *targets) close() {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	ts.plain.CloseIdle()
	for _, tr := range ts.transports {
		tr.CloseIdleConnections()
	}
}

// newTransport trusts caCerts besides the system's certificates. It speaks
// TLS 1.2 and up, as subscribers outside the cluster may not have 1.3, and
// HTTP/2 with those that offer it over TLS. An attempt's own timeout bounds
// the wait for a response, and nothing else does.
func newTransport(caCerts string, proxy func(*http.Request) (*url.URL, error)) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caCerts != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(caCerts)) {
			return nil, errors.New("its CACerts hold no certificate in PEM form")
		}
		config.RootCAs = pool
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		MaxIdleConns:           2048,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		DisableCompression:     true,
	}, nil
}
