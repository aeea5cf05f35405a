package client

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// curl is what this program is when it is called so, for machines without curl:
// the options that the README uses. Others end with an error.
func curl(args []string) int {
	flags := flag.NewFlagSet("curl", flag.ContinueOnError)
	include := flags.Bool("i", false, "print the response's headers")
	_ = flags.Bool("s", false, "be silent")
	data := flags.String("d", "", "body; makes it a POST")
	header := http.Header{}
	flags.Func("H", "header", func(line string) error {
		name, value, _ := strings.Cut(line, ":")
		header.Add(name, strings.TrimSpace(value))
		return nil
	})
	var urls []string
	for len(args) > 0 { // curl takes options after its URL
		if err := flags.Parse(args); err != nil {
			return 2
		}
		if args = flags.Args(); len(args) > 0 {
			urls, args = append(urls, args[0]), args[1:]
		}
	}
	for _, url := range urls {
		if err := fetch(url, header, *data, *include); err != nil {
			fmt.Fprintln(os.Stderr, "curl:", err)
			return 7
		}
	}
	return 0
}

func fetch(url string, header http.Header, data string, include bool) error {
	method := http.MethodGet
	if data != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, url, strings.NewReader(data))
	if err != nil {
		return err
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if include {
		fmt.Printf("%s %s\r\n", resp.Proto, resp.Status)
		if err := resp.Header.Write(os.Stdout); err != nil {
			return err
		}
		fmt.Print("\r\n")
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}
