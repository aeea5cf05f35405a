package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// machine is where and when the figures were measured.
type machine struct {
	Date    string  `json:"date"`
	Version string  `json:"version"` // of leat
	CPU     string  `json:"cpu"`
	Cores   int     `json:"cores"`
	Kernel  string  `json:"kernel"`
	Go      string  `json:"go"`
	Sync    float64 `json:"syncMicros"` // median of appending 4 KiB to a file and syncing it
	Disk    float64 `json:"diskMB"`     // MB/s of appending 4 MiB to a file and syncing it, the same
	Load    string  `json:"loadBefore"`
}

func describe(s settings) (machine, error) {
	m := machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04"), Cores: runtime.NumCPU(), Go: runtime.Version(),
		CPU:    procField("/proc/cpuinfo", "model name"),
		Kernel: readLine("/proc/sys/kernel/osrelease"), Load: readLine("/proc/loadavg"),
	}
	version, err := exec.Command(s.leat, "version").Output()
	if err != nil {
		return m, fmt.Errorf("%s version: %w (make build makes it)", s.leat, err)
	}
	m.Version = strings.TrimSpace(string(version))
	if m.Sync, err = syncTime(s.dir, 4<<10, 200); err != nil {
		return m, err
	}
	const piece = 4 << 20
	micros, err := syncTime(s.dir, piece, 50)
	m.Disk = piece / micros
	return m, err
}

// String is one line for the head of the table.
func (m machine) String() string {
	return fmt.Sprintf("%s, %s: %d cores of %s, Linux %s, %s, %.0f µs for a synced write of 4 KiB, %.0f MB/s for those of 4 MiB, load before %s",
		m.Date, m.Version, m.Cores, m.CPU, m.Kernel, m.Go, m.Sync, m.Disk, m.Load)
}

// syncTime is the median time of so many synced writes, in microseconds.
func syncTime(dir string, bytes, writes int) (micros float64, err error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var took []float64
	piece := make([]byte, bytes)
	for range writes {
		start := time.Now()
		if _, err := f.Write(piece); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(start).Microseconds()))
	}
	return median(took), nil
}

// readLine is the first line of a file, empty if there is none.
func readLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

// procField is the value of the first line "name : value" of a file.
func procField(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
