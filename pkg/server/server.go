// Package server puts one data plane together and runs it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"leat.dev/leat/pkg/ingress"
	"leat.dev/leat/pkg/routing"
)

// Options of a data plane. All fields but Status, BaseURL, DrainDelay, NoMetrics
// and the disk limits are required.
type Options struct {
	Version string
	Logger  *slog.Logger

	// Data is the folder that keeps the events.
	Data string
	// Listen and Admin are addresses as net.Listen takes them.
	Listen, Admin string
	// Status is an address for health, metrics and what is served (pkg/served),
	// for everybody to read; empty for none.
	Status string
	// BaseURL is where others reach Listen. Empty: made from the listener.
	BaseURL string
	// Source makes the source of tables, once the own address is known.
	Source func(baseURL string) (routing.Source, error)

	// MaxEventBytes bounds a request's body.
	MaxEventBytes int64
	// MaxDiskBytes and MinFreeBytes bound the disk; 0 is no bound.
	MaxDiskBytes, MinFreeBytes uint64
	// Grace bounds the time from the end of ctx until Run returns.
	Grace time.Duration
	// DrainDelay is how long the listener goes on after readiness is off.
	DrainDelay time.Duration
	// DeliveryTimeout bounds one attempt of a route that says nothing.
	DeliveryTimeout time.Duration
	// NoMetrics hides /metrics.
	NoMetrics bool
	// Profiling shows /debug/pprof to operators.
	Profiling bool
	// Fatal is told why the store cannot go on. It must not return.
	Fatal func(msg string)
}

// Run serves until ctx ends, then drains: readiness off, listener closed,
// deliveries settled or given back, log closed. It returns nil after an orderly
// stop, even if the grace period cut something off: what was cut off was not
// settled and comes back.
func Run(ctx context.Context, o Options) (err error) {
	l, err := listen(o)
	if err != nil {
		return err
	}
	baseURL := o.BaseURL
	if baseURL == "" {
		baseURL = ownURL(l.events.Addr())
	}
	source, err := o.Source(baseURL)
	if err != nil {
		return errors.Join(err, l.close())
	}
	p, err := newPlane(o)
	if err != nil {
		return errors.Join(err, l.close())
	}
	return p.run(ctx, source, l)
}

// sockets are where a data plane listens. status may be nil.
type sockets struct{ events, admin, status net.Listener }

func listen(o Options) (l sockets, err error) {
	for _, s := range []struct {
		net           *net.Listener
		who, at, flag string
	}{{&l.events, "events", o.Listen, "listen"}, {&l.admin, "operators", o.Admin, "admin"}, {&l.status, "status", o.Status, "status"}} {
		if s.at == "" && s.net == &l.status {
			continue
		}
		if *s.net, err = net.Listen("tcp", s.at); err != nil {
			return sockets{}, errors.Join(
				fmt.Errorf("listen for %s on %s: %w; choose another address with --%s", s.who, s.at, err, s.flag), l.close())
		}
	}
	return l, nil
}

// statusAddr is empty if there is no such socket.
func (l sockets) statusAddr() string {
	if l.status == nil {
		return ""
	}
	return l.status.Addr().String()
}

func (l sockets) close() error {
	var errs []error
	for _, s := range []net.Listener{l.events, l.admin, l.status} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// ownURL is a URL for the listener that works on this machine.
func ownURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// run serves until ctx ends or something that must not end does. Events are
// answered from the first table on; until then connections wait.
func (p *plane) run(ctx context.Context, source routing.Source, l sockets) error {
	shown := map[string]*listener{
		"operators": serve(ingress.Bound(l.admin, connsOf(maxAdminConns), nil), newHTTPServer(p.admin, p.Logger)),
	}
	if l.status != nil {
		shown["status"] = serve(ingress.Bound(l.status, connsOf(maxAdminConns), p.budget), newHTTPServer(p.status, p.Logger))
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return source.Run(ctx, p.publish) })
	work.Go(func() error { p.follow(ctx); return nil })
	select {
	case <-p.loaded:
	case <-ctx.Done():
	}
	events := serveEvents(ingress.Bound(l.events, connsOf(maxConns), p.budget), p.ingress, p.Logger)
	if ctx.Err() == nil {
		p.ready.Store(true)
		p.Logger.Info("serving", "listen", l.events.Addr().String(), "admin", l.admin.Addr().String(),
			"status", l.statusAddr(), "data", p.Data, "version", p.Version)
	}
	work.Go(func() error { return events.watch(ctx, "events") })
	for who, l := range shown {
		work.Go(func() error { return l.watch(ctx, who) })
	}
	<-ctx.Done()
	return errors.Join(p.stop(events, shown), work.Wait())
}

// stop is the orderly end. The order matters: nothing new comes in, then
// nothing more goes out, then the log closes. What is shown is shown until then,
// but nobody is told any more that anything is served.
func (p *plane) stop(events *listener, shown map[string]*listener) error {
	p.stopping.Store(true)
	p.Logger.Info("stopping", "grace", p.Grace.String())
	ctx, cancel := context.WithTimeout(context.Background(), p.Grace)
	defer cancel()
	if p.DrainDelay > 0 {
		select {
		case <-time.After(min(p.DrainDelay, p.Grace/2)):
		case <-ctx.Done():
		}
	}
	p.board.Close()
	p.cutOff("request", events.shutdown(ctx))
	p.cutOff("delivery", p.dispatcher.Close(ctx))
	p.client.Close()
	err := p.engine.Close()
	for who, l := range shown {
		p.cutOff("request for "+who, l.shutdown(ctx))
	}
	err = errors.Join(err, p.metrics.Close())
	p.Logger.Info("stopped")
	return err
}

// cutOff tells what the grace period did not suffice for. It is no error of the
// stop: what was cut off was not acknowledged or not settled.
func (p *plane) cutOff(what string, err error) {
	if err != nil {
		p.Logger.Warn("the grace period ended before each "+what+" did", "error", err)
	}
}
