package main

import (
	"strings"
	"testing"
)

func TestKind(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                                               "Apache-2.0",
		"Permission is hereby granted, free of charge, to any person":                                                "MIT",
		"Redistribution and use in source and binary forms, ...\n * Neither the name of X":                           "BSD-3-Clause",
		"Redistribution and use in source and binary forms, with or without":                                         "BSD-2-Clause",
		"Permission to use, copy, modify, and distribute this software for any":                                      "ISC",
		"GNU AFFERO GENERAL PUBLIC LICENSE Version 3":                                                                "",
		"Additional IP Rights Grant (Patents)":                                                                       "",
		"Mozilla Public License Version 2.0\n====":                                                                   "MPL-2.0",
		"Redistribution and use in source and\nbinary forms\n * name may not be used to endorse or promote products": "BSD-3-Clause",
	} {
		if got := kind([]byte(text)); got != want {
			t.Errorf("kind(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestCompareTellsWhatIsWrong(t *testing.T) {
	want := map[string][]byte{"a": []byte("1"), "b": []byte("1")}
	if err := compare(want, want); err != nil {
		t.Errorf("the same files: %v", err)
	}
	have := map[string][]byte{"b": []byte("2"), "c": []byte("1")}
	err := compare(have, want)
	for _, s := range []string{"a is missing", "b is not what", "c belongs to no module"} {
		if err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("compare says %v, want %q in it", err, s)
		}
	}
}
