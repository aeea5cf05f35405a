package mirrortest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServeHTTP answers lists and watches as an API server does, with all of the
// Shelf whatever the path.
func (s *Shelf[T, L]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	o := metav1.ListOptions{ResourceVersion: r.FormValue("resourceVersion"), FieldSelector: r.FormValue("fieldSelector")}
	if r.FormValue("sendInitialEvents") != "" {
		yes := true
		o.SendInitialEvents = &yes
	}
	if r.FormValue("watch") == "" {
		list, err := s.List(r.Context(), o)
		if err != nil {
			refuse(w, err)
			return
		}
		kind := s.kind
		kind.Kind += "List"
		list.GetObjectKind().SetGroupVersionKind(kind)
		_ = json.NewEncoder(w).Encode(list) // the client is gone
		return
	}
	s.serveWatch(w, r, o)
}

func (s *Shelf[T, L]) serveWatch(w http.ResponseWriter, r *http.Request, o metav1.ListOptions) {
	events, err := s.Watch(r.Context(), o)
	if err != nil {
		refuse(w, err)
		return
	}
	defer events.Stop()
	flush := http.NewResponseController(w)
	_ = flush.Flush() // the client is gone
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-events.ResultChan():
			if !ok {
				return
			}
			object, err := json.Marshal(e.Object)
			if err != nil {
				panic("BUG: an object of the API is JSON: " + err.Error())
			}
			err = json.NewEncoder(w).Encode(map[string]any{"type": e.Type, "object": json.RawMessage(object)})
			if err = errors.Join(err, flush.Flush()); err != nil {
				return
			}
		}
	}
}

func refuse(w http.ResponseWriter, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewInternalError(err)
	}
	answer := status.Status()
	answer.Kind, answer.APIVersion = "Status", "v1"
	w.WriteHeader(int(answer.Code))
	_ = json.NewEncoder(w).Encode(answer) // the client is gone
}

// Serve answers for several kinds, each by the last part of its path, such as
// "brokers".
func Serve(shelves map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shelf := shelves[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		if shelf == nil {
			http.NotFound(w, r)
			return
		}
		shelf.ServeHTTP(w, r)
	})
}
