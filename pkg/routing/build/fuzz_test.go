package build

import "testing"

// FuzzBrokerOptions: a ConfigMap's value is refused, or becomes an annotation
// that is read back without a problem.
func FuzzBrokerOptions(f *testing.F) {
	for key, value := range map[string]string{
		"retention": "P2D", "max-in-flight": "100", "delivery-order": "ordered", "start": "earliest",
		"channel-template-spec": "kind: x", "_example": "x", "": "", "reten\x00tion": "48h",
	} {
		f.Add(key, value)
		f.Add("max-in-flight", " "+value+"\n")
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		annotations, err := BrokerOptions(map[string]string{key: value})
		if err != nil {
			if len(annotations) > 0 || len(err.Error()) > 1000 {
				t.Fatalf("%d annotations and %v", len(annotations), err)
			}
			return
		}
		b := &builder{}
		o := b.options("Broker ns/a", annotations, defaultOptions)
		kept := b.retention("Broker ns/a", annotations, 0)
		if len(b.problems) > 0 || o.maxInFlight < 1 || o.maxInFlight > maxMaxInFlight || kept < 0 || kept > maxRetention {
			t.Fatalf("%q: %q became %v: %+v, %v, %v", key, value, annotations, o, kept, b.problems)
		}
	})
}
