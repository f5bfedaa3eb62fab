// Command prometheus-parser reads an exposition from standard input with the parser of a Prometheus server, and prints
// what it found, a JSON array per line: ["type", name, type], ["help", name, text], or ["series", labels, value].
// Its argument is the exposition's content type.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(contentType string) error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	parser, err := textparse.New(input, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return err
	}
	output := bufio.NewWriter(os.Stdout)
	lines := json.NewEncoder(output)
	lines.SetEscapeHTML(false)
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return output.Flush()
		}
		if err != nil {
			return err
		}
		switch entry {
		case textparse.EntryType:
			name, kind := parser.Type()
			err = lines.Encode([]any{"type", string(name), string(kind)})
		case textparse.EntryHelp:
			name, help := parser.Help()
			err = lines.Encode([]any{"help", string(name), string(help)})
		case textparse.EntrySeries:
			var series labels.Labels
			parser.Labels(&series)
			_, _, value := parser.Series()
			err = lines.Encode([]any{"series", series.Map(), strconv.FormatFloat(value, 'g', -1, 64)})
		}
		if err != nil {
			return err
		}
	}
}
