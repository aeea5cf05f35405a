// Command probe sends and receives events in a cluster, and gives account of
// them over HTTP: which were acknowledged to it, which it has received.
//
//	PUT    /sends/{name}          send the events that the body, a Send, describes
//	GET    /sends/{name}          what has become of them: a Sent
//	DELETE /sends/{name}          send no new ones; those under way go on
//	GET    /taken/{route}         what came to a route: a Taken
//	POST   /take/{route}          a subscriber that answers 202
//	POST   /reply/{route}         a subscriber that answers with an event of the type {type}.{route}
//	POST   /refuse/{route}        a subscriber that answers 400
//	GET    /healthz               200
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "`address` to listen on")
	show := flag.Bool("show", false, "print the events that come in")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := serve(ctx, *listen, *show)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// serve serves until ctx ends.
func serve(ctx context.Context, listen string, show bool) error {
	senders := newSenders(ctx)
	s := &http.Server{Addr: listen, Handler: newHandler(senders, newReceiver(show)), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ending); err != nil {
			log.Print(err)
		}
	})
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	senders.wait()
	return nil
}

func newHandler(s *senders, r *receiver) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /sends/{name}", s.begin)
	mux.HandleFunc("GET /sends/{name}", s.account)
	mux.HandleFunc("DELETE /sends/{name}", s.end)
	mux.HandleFunc("GET /taken/{route}", r.account)
	mux.HandleFunc("POST /take/{route}", r.take(accept))
	mux.HandleFunc("POST /reply/{route}", r.take(reply))
	mux.HandleFunc("POST /refuse/{route}", r.take(refuse))
	return mux
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Print(err) // the test has gone away
	}
}
