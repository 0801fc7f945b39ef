package rediskv

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config says which Redis, and how to reach it. Only Addrs must be set.
type Config struct {
	// Addrs are host:port: the server; or with MasterName the Sentinels; or with Cluster some of the
	// nodes, from which the rest are found.
	Addrs []string
	// MasterName is the name by which the Sentinels know the master.
	MasterName string
	// Cluster says that Addrs are nodes of a Redis Cluster.
	Cluster bool
	// DB is the number of the database. A Cluster has only 0.
	DB int
	// Prefix stands before every key, so that others can use the same Redis.
	Prefix string
	// Username and Password are for the servers, the Sentinel ones for the Sentinels.
	Username, Password                 string
	SentinelUsername, SentinelPassword string
	// TLS, if set, is used towards servers and Sentinels.
	TLS *tls.Config
	// PoolSize is how many connections to each server are used at once; a call that finds all busy waits
	// for Timeout. A connection carries several thousand calls a second. 0 means ten for each processor.
	PoolSize int
	// Timeout bounds each of: dial, write, read, wait for a connection. 0 means one second: whoever waits
	// longer for an answer that takes less than a millisecond waits for a broken server.
	Timeout time.Duration
}

// Dial returns a store on the configured Redis. It connects when it is first used; Ping tells at once.
func Dial(c Config) (*Store, error) {
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	redis.SetLogger(logger{})
	return New(redis.NewUniversalClient(options), c.Prefix), nil
}

func (c Config) options() (*redis.UniversalOptions, error) {
	switch {
	case len(c.Addrs) == 0:
		return nil, errors.New("rediskv: no address is given")
	case c.Cluster && c.MasterName != "":
		return nil, errors.New("rediskv: Cluster and Sentinel (a master name) exclude each other")
	case c.Cluster && c.DB != 0:
		return nil, errors.New("rediskv: a Cluster has database 0 only")
	case len(c.Addrs) > 1 && !c.Cluster && c.MasterName == "":
		return nil, errors.New("rediskv: several addresses need Cluster or a master name")
	case c.PoolSize < 0 || c.Timeout < 0 || c.DB < 0:
		return nil, errors.New("rediskv: pool size, timeout and database must not be negative")
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = time.Second
	}
	return &redis.UniversalOptions{
		Addrs:            slices.Clone(c.Addrs), // to which the Cluster client appends
		MasterName:       c.MasterName,
		IsClusterMode:    c.Cluster,
		DB:               c.DB,
		Username:         c.Username,
		Password:         c.Password,
		SentinelUsername: c.SentinelUsername,
		SentinelPassword: c.SentinelPassword,
		TLSConfig:        c.TLS,

		PoolSize:              c.PoolSize,
		DialTimeout:           timeout,
		DialerRetries:         2,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           timeout,
		ContextTimeoutEnabled: true,

		MaxRetries:               1, // which only Get makes use of, see once
		Protocol:                 2, // RESP3 adds pushes, which nobody here listens to
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}

// logger takes what go-redis has to say about its connections; it never has keys or values to say.
type logger struct{}

func (logger) Printf(ctx context.Context, format string, v ...any) {
	slog.InfoContext(ctx, "redis client", "event", fmt.Sprintf(format, v...))
}
