package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// inheritedFiles is more than the number of files that a lab's owner hands
// over, to be held open for the lab's life.
const inheritedFiles = 64

// Run is the life of a supervisor: it returns when all processes of the lab
// have ended and what is to be removed is removed. It refuses to work where it
// is not the first process of its namespace.
func Run(configFile string) error {
	if os.Getpid() != 1 {
		return errors.New("a supervisor must be the first process of its namespace")
	}
	c, err := readConfig(configFile)
	if err != nil {
		return err
	}
	for fd := 3; fd < inheritedFiles; fd++ {
		syscall.CloseOnExec(fd) // or programs would hold them, too
	}
	if err := mount(c.Mounts); err != nil {
		return err
	}
	ps := &processes{byName: map[string]*process{}, byPID: map[int]*process{}}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	reaperEnd, reaped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reaped)
		for {
			select {
			case <-children:
				ps.reap()
			case <-reaperEnd:
				return
			}
		}
	}()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if !c.Detached {
		// It ends with the process: nothing but the end of the input wakes it.
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // however the input ended
			cancel()
		}()
	}
	listener, err := net.Listen("unix", c.Socket)
	if err != nil {
		return fmt.Errorf("take orders: %w", err)
	}
	server := &http.Server{Handler: handler(ps, cancel)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	<-ctx.Done()
	err = ps.end(c)
	close(reaperEnd)
	<-reaped
	// The answer to the order to end may still be on its way.
	soon, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	err = errors.Join(err, server.Shutdown(soon))
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// end kills all, removes the bridges and the directory.
func (ps *processes) end(c Config) error {
	ps.mu.Lock()
	ps.refused = true
	ps.mu.Unlock()
	for left := true; left; left = ps.reap() {
		// All of the namespace but this one; none is fine. Processes that are
		// being born meanwhile are met by the next round.
		_ = syscall.Kill(-1, syscall.SIGKILL)
		time.Sleep(2 * time.Millisecond)
	}
	ps.mu.Lock()
	ps.refused = false // for the program that removes the bridges
	ps.mu.Unlock()
	err := ps.removeBridges(c)
	if c.Keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(c.Dir))
}

func (ps *processes) removeBridges(c Config) error {
	if c.Bridges == "" {
		return nil
	}
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return fmt.Errorf("list the bridges: %w", err)
	}
	var errs []error
	for _, link := range links {
		if !strings.HasPrefix(link.Name(), c.Bridges) {
			continue
		}
		errs = append(errs, ps.run(Spec{
			Name: "ip", Args: []string{"/usr/sbin/ip", "link", "delete", link.Name()},
			Output: filepath.Join(c.Dir, "bridges.out"),
		}))
	}
	return errors.Join(errs...)
}

// order is what a Client sends.
type order struct {
	Name   string
	Signal int
	Grace  time.Duration
}

func handler(ps *processes, end func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		var s Spec
		answer(w, decode(r, &s), func() error { _, err := ps.start(s); return err })
	})
	mux.HandleFunc("POST /run", func(w http.ResponseWriter, r *http.Request) {
		var s Spec
		answer(w, decode(r, &s), func() error { return ps.run(s) })
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
		var o order
		answer(w, decode(r, &o), func() error { return ps.stop(o.Name, syscall.Signal(o.Signal), o.Grace) })
	})
	mux.HandleFunc("POST /signal", func(w http.ResponseWriter, r *http.Request) {
		var o order
		answer(w, decode(r, &o), func() error { return ps.signal(o.Name, syscall.Signal(o.Signal)) })
	})
	mux.HandleFunc("GET /running", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(ps.running()) // the client is gone
	})
	mux.HandleFunc("POST /end", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		end()
	})
	return mux
}

func decode(r *http.Request, v any) error { return json.NewDecoder(r.Body).Decode(v) }

// answer does the order if it could be read, and says how it went.
func answer(w http.ResponseWriter, err error, do func() error) {
	status := http.StatusBadRequest
	if err == nil {
		status, err = http.StatusConflict, do()
	}
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
