// Command anyid-bench measures the service: start-up, memory, size, and logins a second on each store.
// docs/performance.md says how to read what it prints.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/bench"
	"github.com/anyid/anyid/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "anyid-bench: "+err.Error())
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var c bench.Config
	var profile string
	root := &cobra.Command{
		Use:           "anyid-bench",
		Short:         "Measure the service on this machine",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			c.Providers, c.Progress = []string{self, "providers"}, cmd.ErrOrStderr()
			if profile != "" {
				c.Serve = []string{self, "serve", "--profile", profile}
				c.Providers = append(c.Providers, "--profile", profile)
			}
			aside()
			var result bench.Result
			err = profiled(profile, "driver", func() error {
				result, err = c.Run(cmd.Context())
				return err
			})
			if err != nil {
				return err
			}
			return result.Print(cmd.OutOrStdout(), time.Now())
		},
	}
	root.SetOut(os.Stdout)
	f := root.Flags()
	f.StringVar(&c.Binary, "binary", "bin/anyid", "the program to measure")
	f.StringVar(&c.Data, "data", "", "folder on the disk to measure (default: the one for temporary files)")
	f.StringSliceVar(&c.Stores, "stores", bench.Stores(), "the stores to measure")
	f.StringSliceVar(&c.Loads, "loads", bench.Loads(), "the loads to put on it")
	f.DurationVar(&c.Duration, "duration", 4*time.Second, "how long each load lasts")
	f.IntVar(&c.Rounds, "rounds", 3, "how often the loads take turns")
	f.IntVar(&c.Workers, "concurrency", 128, "citizens who log in at the same time")
	f.IntVar(&c.People, "people", 1280, "citizens that there are")
	f.IntVar(&c.Starts, "starts", 7, "how often the service is started on each store")
	f.StringVar(&profile, "profile", "", "folder for CPU and allocation profiles of each process (then the benchmark's own build of the service serves)")
	root.AddCommand(providersCommand(), serveCommand())
	return root
}

// providersCommand is what the benchmark runs beside itself.
func providersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "providers PEOPLE", Args: cobra.ExactArgs(1), Hidden: true}
	folder := cmd.Flags().String("profile", "", "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		people, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		aside()
		return profiled(*folder, "providers", func() error {
			return bench.Providers(cmd.Context(), people, os.Stdin, cmd.OutOrStdout())
		})
	}
	return cmd
}

// aside lets this process do its part on one processor, with rare collections: it stands beside the service
// that is measured, and what it takes from the machine is not the service's price.
func aside() {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(800)
}

// serveCommand is `anyid serve` under the profiler.
func serveCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "serve", Args: cobra.NoArgs, Hidden: true}
	config.AddFlags(cmd.Flags())
	folder := cmd.Flags().String("profile", "", "")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		c, err := config.Load(config.Options{Flags: cmd.Flags()})
		if err != nil {
			return err
		}
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		a, err := app.Open(cmd.Context(), c, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		listener, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", c.Listen)
		if err != nil {
			return err
		}
		return profiled(*folder, c.Storage.Driver+"-"+c.KV.Driver, func() error { return a.Serve(cmd.Context(), listener) })
	}
	return cmd
}

// profiled runs do and writes the profiles name.cpu.prof and name.alloc.prof to the folder; without a
// folder it only runs it.
func profiled(folder, name string, do func() error) (err error) {
	if folder == "" {
		return do()
	}
	name = filepath.Join(folder, name)
	cpu, err := os.Create(name + ".cpu.prof")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cpu.Close()) }()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	err = do()
	pprof.StopCPUProfile()
	return errors.Join(err, writeAllocations(name+".alloc.prof"))
}

func writeAllocations(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
