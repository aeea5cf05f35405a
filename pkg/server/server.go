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

// Options of a data plane. All fields but BaseURL, DrainDelay and the disk
// limits are required.
type Options struct {
	Version string
	Logger  *slog.Logger

	// Data is the folder that keeps the events.
	Data string
	// Listen and Admin are addresses as net.Listen takes them.
	Listen, Admin string
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
	events, admin, err := listen(o)
	if err != nil {
		return err
	}
	baseURL := o.BaseURL
	if baseURL == "" {
		baseURL = ownURL(events.Addr())
	}
	source, err := o.Source(baseURL)
	if err != nil {
		return errors.Join(err, events.Close(), admin.Close())
	}
	p, err := newPlane(o)
	if err != nil {
		return errors.Join(err, events.Close(), admin.Close())
	}
	return p.run(ctx, source, events, admin)
}

func listen(o Options) (events, admin net.Listener, err error) {
	events, err = net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for events on %s: %w; choose another address with --listen", o.Listen, err)
	}
	admin, err = net.Listen("tcp", o.Admin)
	if err != nil {
		return nil, nil, errors.Join(
			fmt.Errorf("listen for operators on %s: %w; choose another address with --admin", o.Admin, err), events.Close())
	}
	return events, admin, nil
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
func (p *plane) run(ctx context.Context, source routing.Source, eventsNet, adminNet net.Listener) error {
	admin := serve(ingress.Bound(adminNet, connsOf(maxAdminConns), nil), newHTTPServer(p.admin, p.Logger))
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		return source.Run(ctx, func(t *routing.Table) { p.apply(ctx, t) })
	})
	select {
	case <-p.loaded:
	case <-ctx.Done():
	}
	events := serve(ingress.Bound(eventsNet, connsOf(maxConns), p.budget), newHTTPServer(p.ingress, p.Logger))
	if ctx.Err() == nil {
		p.ready.Store(true)
		p.Logger.Info("serving", "listen", eventsNet.Addr().String(), "admin", adminNet.Addr().String(),
			"data", p.Data, "version", p.Version)
	}
	work.Go(func() error {
		select {
		case err := <-events.failed:
			return fmt.Errorf("the listener for events failed: %w", err)
		case err := <-admin.failed:
			return fmt.Errorf("the listener for operators failed: %w", err)
		case <-ctx.Done():
			return nil
		}
	})
	<-ctx.Done()
	return errors.Join(p.stop(events, admin), work.Wait())
}

// stop is the orderly end. The order matters: nothing new comes in, then
// nothing more goes out, then the log closes.
func (p *plane) stop(events, admin *listener) error {
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
	p.cutOff("request", events.shutdown(ctx))
	p.cutOff("delivery", p.dispatcher.Close(ctx))
	p.client.Close()
	err := p.engine.Close()
	p.cutOff("operator's request", admin.shutdown(ctx))
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
