package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service until an interrupt or SIGTERM",
		Args:  cobra.NoArgs,
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.Config.Listen)
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("%s is taken: stop what listens there, or choose another address with --listen", a.Config.Listen)
			}
			if err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			collectGarbage()
			log := logger(a.Config.Log, cmd.ErrOrStderr())
			log.Info("serving", "issuer", a.Config.Issuer, "listen", listener.Addr().String(), "version", version())
			if err := a.Serve(ctx, listener); err != nil {
				return err
			}
			log.Info("stopped")
			return nil
		}),
	}
}

// collectGarbage lets the heap grow to three and a half times what is live before it is collected, unless GOGC says
// otherwise. What is live is a few megabytes, so Go's own default collects dozens of times a second under
// load, for a tenth of the processor time.
func collectGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(250)
	}
}
