package harness

import (
	"flag"
	"fmt"
	"os"
)

// FlagFromEnvironment gives a flag the value of an environment variable, if that
// is set: go test hands its flags to every package that it tests, and not every
// package knows them. It is called before flag.Parse.
func FlagFromEnvironment(name, variable string) {
	value := os.Getenv(variable)
	if value == "" {
		return
	}
	if err := flag.Set(name, value); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", variable, err)
		os.Exit(2)
	}
}
