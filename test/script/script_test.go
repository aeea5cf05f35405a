// Package script runs the leat binary as a person at a shell would: each file
// of testdata is a script, its first lines say what it shows.
//
// Besides testscript's own commands there are, in commands_test.go,
//
//	exits CODE COMMAND...     run a command that must end with this exit code
//	serve [FLAGS...]          run leat serve; $URL and $ADMIN are where it listens,
//	                          $OPERATOR is $ADMIN as an address
//	stop                      end it with SIGTERM; it must exit with 0
//	log TEXT...               wait for a line of its log with all of the texts
//	subscriber NAME           an HTTP server that answers 202; its address is $NAME
//	answer NAME STATUS        it answers with another status from now on
//	received NAME TEXT...     wait for a request to it with all of the texts
//	received-times N NAME TEXT...   wait for N such requests; no more have come
//	post STATUS URL FILE      send the file: headers, an empty line, the body
//	get STATUS URL            what is answered is in stdout
//	dead-letters N STREAM ROUTE   wait until the route has N dead letters
//	settled STREAM            wait until all its events are settled
//	parked N STREAM           wait until its first route has N retries that wait
//	occupy                    listen somewhere; the address is $OCCUPIED
//	expand FILE...            put the values of variables into files
package script

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"leat.dev/leat/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Setup:               setup,
		Cmds:                commands,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func setup(env *testscript.Env) error {
	env.Setenv("PATH", filepath.Dir(harness.Executable)+string(os.PathListSeparator)+os.Getenv("PATH"))
	w := &world{subscribers: map[string]*subscriber{}}
	env.Values[worldKey{}] = w
	env.Defer(w.end)
	return nil
}
