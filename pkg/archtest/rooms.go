// Package archtest holds the architecture: who may import whom, and why.
//
// Its tests read the imports of every package under pkg and compare them with
// the tables of this file. Whoever needs an import that is not here adds a line
// with the reason, and thereby says in a review that the shape changes.
package archtest

// A room is a package under pkg, and which of our packages it may import, each
// with the reason.
type room map[string]string

// client is the room of the packages that are generated for LeatChannel.
const client = "client/..."

// rooms is ARCHITECTURE.md's table of rooms. Tests may import what they like.
var rooms = map[string]room{
	"apis/messaging/v1alpha1": {},
	"archtest":                {},
	client:                    {},
	"cloudevent":              {},
	"cursor":                  {},
	"engine":                  {},
	"http1":                   {},
	"eventlog":                {},
	"routing":                 {},

	"routing/build": {
		"routing":                 "a table is what it makes",
		"apis/messaging/v1alpha1": "LeatChannel is one of the kinds it reads",
	},
	"routing/filesource": {
		"routing":                 "it is a Source",
		"routing/build":           "manifests become a table the way cluster objects do",
		"apis/messaging/v1alpha1": "it decodes manifests into the API types",
	},
	"routing/kubesource": {
		"routing":                 "it is a Source",
		"routing/build":           "cluster objects become a table the way manifests do",
		"apis/messaging/v1alpha1": "it watches the channels",
		"kube/mirror":             "the objects are read by it",
	},

	"kube/mirror": {},
	"kube/mirror/mirrortest": {
		"kube/mirror": "what it serves is mirrored",
	},
	"kube/settings": {
		"kube/mirror":   "the ConfigMaps are read by it",
		"routing":       "a bad setting is a Problem, as a bad object is",
		"routing/build": "durations are written the same everywhere",
	},
	"kube": {
		"kube/mirror":        "the API server is reached by it",
		"kube/settings":      "what the ConfigMaps say",
		"routing":            "it makes the Source for the server",
		"routing/kubesource": "the Source of a data plane in a cluster",
		"server":             "run by it",
	},

	"served": {
		"routing": "streams and routes are what is served",
	},

	"engine/enginetest": {
		"engine": "it is the proof of this contract",
	},
	"engine/embedded": {
		"engine":   "it implements the contract",
		"eventlog": "its records are kept there",
		"cursor":   "its consumers' progress is kept by it",
	},
	"engine/jetstream": {
		"engine": "it implements the contract",
	},

	"filter": {
		"cloudevent": "what is matched",
		"routing":    "what is compiled",
	},
	"deliver": {
		"http1":      "requests without TLS go out over it",
		"cloudevent": "what is sent, and what a reply is read into",
		"routing":    "destinations and delivery options",
	},
	"ingress": {
		"cloudevent": "what a request is read into",
		"engine":     "the gate appends to its streams",
		"routing":    "stream names",
	},
	"dispatch": {
		"cloudevent": "records are decoded into it",
		"deliver":    "one attempt, its verdict and its delay",
		"engine":     "pumps read its consumers",
		"filter":     "whether an event goes to a route at all",
		"routing":    "the table that the pumps follow",
	},
	"telemetry": {
		"engine":  "lag, floor and age are read from its states",
		"routing": "the names under which things are counted",
	},
	"admin": {
		"cloudevent": "dead letters are shown as events",
		"engine":     "it shows and moves consumers",
		"routing":    "streams and routes by name",
	},
	"server": {
		"admin":           "served by it",
		"cloudevent":      "glue between the rooms below",
		"deliver":         "its client is put into the dispatcher",
		"dispatch":        "run by it",
		"engine":          "the contract that it hands around",
		"engine/embedded": "the engine of a standalone data plane",
		"ingress":         "run by it",
		"routing":         "it runs a Source",
		"served":          "it tells what it serves",
		"telemetry":       "its observers are put into the rooms",
	},

	"reconciler/dataplane": {
		"routing":       "names of streams and their addresses",
		"routing/build": "a status says what the data plane will do, so both use the same options",
		"served":        "the data plane is asked what it serves",
	},
	"reconciler/dataplane/dataplanetest": {
		"routing": "names of streams and routes",
		"served":  "it answers like a data plane",
	},
	"reconciler/reconcilertest": {
		"apis/messaging/v1alpha1":            "its worlds have LeatChannels",
		client:                               "the clients of those",
		"reconciler/dataplane":               "controllers are made with a link",
		"reconciler/dataplane/dataplanetest": "that link leads to a plane of the test's own",
	},
	"reconciler/broker": {
		"reconciler/dataplane": "the link to the data plane, and what a status tells of it",
		"routing":              "names of streams and their addresses",
		"routing/build":        "a status says what the data plane will do, so both use the same rules",
		"served":               "a Broker is ready once its stream is served",
	},
	"reconciler/trigger": {
		"reconciler/dataplane": "the link to the data plane, and what a status tells of it",
		"routing":              "names of streams and their addresses",
		"routing/build":        "a status says what the data plane will do, so both use the same rules",
		"served":               "a Trigger is ready once its route is served",
	},
	"reconciler/channel": {
		"apis/messaging/v1alpha1": "what it reconciles",
		client:                    "reads and writes LeatChannels",
		"reconciler/dataplane":    "the link to the data plane, and what a status tells of it",
		"routing":                 "names of streams and their addresses",
		"routing/build":           "a status says what the data plane will do, so both use the same rules",
		"served":                  "a subscriber is ready once its route is served",
	},

	"cli": {
		"admin":              "the operator commands are its client",
		"engine":             "the seqs of dead letters",
		"routing":            "what a check of manifests prints",
		"routing/filesource": "the Source of leat serve",
		"server":             "run by leat serve",
	},
}

// A ban keeps a library out of all rooms but some.
type ban struct {
	// path is an import path; what lies below it is banned as well.
	path string
	// but are the rooms that may, "x/..." with all below.
	but    []string
	reason string
}

var bans = []ban{
	{
		path:   "k8s.io/client-go",
		but:    []string{"kube/...", "routing/kubesource", "reconciler/..."},
		reason: "the data plane runs without a cluster, and learns of one through a Source alone",
	},
	{
		path:   "knative.dev",
		but:    []string{"apis/...", "kube/...", "routing/build", "routing/filesource", "routing/kubesource", "reconciler/..."},
		reason: "the data plane knows tables, not objects: both ways to run it must mean the same",
	},
	{
		path: "github.com/cockroachdb/pebble",
		// The embedded engine passes on the file system that a test crashes.
		but:    []string{"eventlog", "engine/embedded"},
		reason: "what is durable, and when, is decided in one room",
	},
	{
		path:   "github.com/nats-io",
		but:    []string{"engine/jetstream"},
		reason: "an engine is chosen, never leaned on",
	},
	{
		path:   "github.com/cloudevents/sdk-go/v2",
		but:    []string{"cloudevent", "filter"},
		reason: "an event is read and written in one room; the SDK's form of it costs a hot path too much",
	},
	{
		path:   "go.opentelemetry.io",
		but:    []string{"telemetry", "reconciler/..."},
		reason: "rooms tell an observer what happened; what is measured of it is one room's matter",
	},
	{
		path:   "github.com/spf13/cobra",
		but:    []string{"cli"},
		reason: "flags are read at the edge",
	},
	{
		path: "net/http",
		but: []string{
			"admin", "cloudevent", "cli", "deliver", "dispatch", "http1", "ingress", "kube/...", "reconciler/...",
			"served", "server", "telemetry",
		},
		reason: "storage, tables and filters do not know how events travel",
	},
}

// pure rooms take time as an argument and touch nothing outside of themselves,
// so that a table of inputs and outputs is a full test.
var pure = map[string]string{
	"cursor":        "progress is tested by replaying scripts",
	"filter":        "a filter is a predicate",
	"routing":       "a table is a value",
	"routing/build": "the same objects must give the same table",
}

// impure are the imports that a pure room does without.
var impure = []string{"os", "net", "net/http", "math/rand", "math/rand/v2", "log", "log/slog", "go.uber.org/zap"}

// clocks are the functions of package time that read the clock or wait for it.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// Limits on length, in lines.
const (
	longestFile = 400
	// Tables of cases are long and read by row.
	longestTest = 600
	// A main wires and nothing else.
	longestMain = 50
)

// longFiles are the files that may be longer, and why.
var longFiles = map[string]string{}
