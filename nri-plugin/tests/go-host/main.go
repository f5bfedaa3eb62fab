// Command nri-host is the runtime's side of NRI, as containerd and CRI-O embed it, driven by lines on standard input:
// a method, a space, and its request, a protobuf message in base64. Each is answered by a line on standard output:
// "ok" and the response, or "error" and a text. What plugins ask for besides, when they join or of their own accord,
// comes between them, as "updates" and an UpdateContainersRequest; the updates of a container "gone" fail.
//
// SetState takes a SynchronizeRequest: what exists for plugins that connect from then on. Stop stops the runtime, as
// does the end of the input. All other methods are those of the adaptation.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
	"google.golang.org/protobuf/proto"
)

// method carries a request to the plugins; the response is nil where there is none.
type method func(ctx context.Context, runtime *adaptation.Adaptation, request []byte) (proto.Message, error)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	socket := flag.String("socket", "", "path of the socket that plugins connect to")
	name := flag.String("name", "containerd", "name that plugins are told")
	version := flag.String("version", "devel", "version that plugins are told")
	registration := flag.Duration("registration-timeout", 5*time.Second, "how long a plugin may take to register")
	request := flag.Duration("request-timeout", 2*time.Second, "how long a plugin may take to answer")
	flag.Parse()
	adaptation.SetPluginRegistrationTimeout(*registration)
	adaptation.SetPluginRequestTimeout(*request)

	host := host{output: os.Stdout}
	// A directory that is not there has no plugins to be launched, and no configuration for them.
	runtime, err := adaptation.New(*name, *version, host.synchronize, host.update,
		adaptation.WithSocketPath(*socket),
		adaptation.WithPluginPath(*socket+".plugins"),
		adaptation.WithPluginConfigPath(*socket+".conf.d"))
	if err != nil {
		return err
	}
	if err := runtime.Start(); err != nil {
		return err
	}
	defer runtime.Stop()
	host.write("ok", nil)

	input := bufio.NewReader(os.Stdin)
	for {
		line, err := input.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		method, encoded, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		request, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return fmt.Errorf("the request of %s: %w", method, err)
		}
		if method == "Stop" {
			host.write("ok", nil)
			return nil
		}
		response, err := host.call(runtime, method, request)
		if err != nil {
			host.line("error", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		host.write("ok", response)
	}
}

type host struct {
	lock   sync.Mutex
	output io.Writer
	state  api.SynchronizeRequest
}

func (h *host) call(runtime *adaptation.Adaptation, name string, request []byte) (proto.Message, error) {
	// As runtimes do it around each event: a plugin that joins has either joined before, or sees its outcome.
	block := runtime.BlockPluginSync()
	defer block.Unblock()
	if name == "SetState" {
		return nil, proto.Unmarshal(request, &h.state)
	}
	call, known := methods[name]
	if !known {
		return nil, fmt.Errorf("there is no method %s in this version of NRI", name)
	}
	return call(context.Background(), runtime, request)
}

// synchronize tells what exists. No event is on its way meanwhile.
func (h *host) synchronize(ctx context.Context, tell adaptation.SyncCB) error {
	updates, err := tell(ctx, h.state.Pods, h.state.Containers)
	if err == nil && len(updates) > 0 {
		_, err = h.update(ctx, updates)
	}
	return err
}

// update makes changes that a plugin asks for.
func (h *host) update(_ context.Context, updates []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) {
	h.write("updates", &api.UpdateContainersRequest{Update: updates})
	var failed []*api.ContainerUpdate
	for _, update := range updates {
		if update.ContainerId == "gone" {
			failed = append(failed, update)
		}
	}
	return failed, nil
}

func (h *host) write(word string, message proto.Message) {
	var encoded []byte
	if message != nil {
		var err error
		if encoded, err = proto.Marshal(message); err != nil {
			h.line("error", err.Error())
			return
		}
	}
	h.line(word, base64.StdEncoding.EncodeToString(encoded))
}

func (h *host) line(word, rest string) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if _, err := fmt.Fprintf(h.output, "%s %s\n", word, rest); err != nil {
		// Whoever drives it is gone, and the input ends as well.
		fmt.Fprintln(os.Stderr, err)
	}
}

// message is a pointer to a message of protobuf.
type message[T any] interface {
	*T
	proto.Message
}

// answered is a method whose response says something.
func answered[Q, A any, PQ message[Q], PA message[A]](
	call func(*adaptation.Adaptation, context.Context, PQ) (PA, error),
) method {
	return func(ctx context.Context, runtime *adaptation.Adaptation, encoded []byte) (proto.Message, error) {
		request := PQ(new(Q))
		if err := proto.Unmarshal(encoded, request); err != nil {
			return nil, err
		}
		return call(runtime, ctx, request)
	}
}
