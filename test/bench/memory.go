package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Memory has settled when it changed by less than steadyShare in steadyTime;
// settleTime bounds the wait.
const (
	steadyShare = 0.005
	steadyTime  = 5 * time.Second
	settleTime  = 90 * time.Second
)

// measureMemory starts leat with the routes, lets it be idle, and says how much
// memory it has after its garbage was collected.
func (b *bench) measureMemory(ctx context.Context, v variant) (got sample, err error) {
	l, err := b.startLeat(v.routes, b.sub.url)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, l.Stop()) }()
	end := time.Now().Add(settleTime)
	for before := int64(0); ; {
		if err := l.collect(); err != nil {
			return got, err
		}
		if err := sleep(ctx, steadyTime); err != nil {
			return got, err
		}
		now, err := residentBytes(l.PID())
		if err != nil {
			return got, err
		}
		if change := float64(now - before); change < steadyShare*float64(now) && -change < steadyShare*float64(now) {
			got.Resident = float64(now)
			return got, nil
		}
		if time.Now().After(end) {
			return got, fmt.Errorf("the memory has not settled after %v: %d bytes, then %d", settleTime, before, now)
		}
		before = now
	}
}

// profile takes a CPU profile of leat while a variant is measured, if the
// settings want one. The function that it returns waits until it is written.
func (b *bench) profile(s server, v variant) func() error {
	l, isLeat := s.(*leat)
	if b.profiles == "" || !isLeat {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- l.profile(filepath.Join(b.profiles, v.name+".pprof"), v.most) }()
	return func() error { return <-done }
}

func (l *leat) profile(path string, d time.Duration) error {
	client := http.Client{Timeout: d + time.Minute}
	res, err := client.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", l.Admin, max(1, int(d.Seconds()))))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, res.Body)
	return errors.Join(err, f.Close())
}
