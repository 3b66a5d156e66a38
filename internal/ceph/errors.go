package ceph

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"quarantine/internal/quarantine"
)

// coded is what go-ceph's errors offer: a negative errno.
type coded interface{ ErrorCode() int }

// errnoOf returns the errno of a go-ceph error, or 0.
func errnoOf(err error) syscall.Errno {
	var c coded
	if !errors.As(err, &c) {
		return 0
	}
	return syscall.Errno(max(c.ErrorCode(), -c.ErrorCode()))
}

// mapped wraps err with what was being done, and with the domain's sentinel
// for its errno.
func mapped(what string, err error) error {
	if err == nil {
		return nil
	}
	var sentinel error
	switch errnoOf(err) {
	case syscall.ENOENT:
		sentinel = quarantine.ErrNotFound
	case syscall.EEXIST:
		sentinel = quarantine.ErrExists
	case syscall.EBUSY:
		sentinel = quarantine.ErrBusy
	case syscall.EPERM, syscall.EACCES, syscall.ENOTEMPTY:
		sentinel = quarantine.ErrRefused
	case syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.ESHUTDOWN, syscall.EIO, syscall.EAGAIN, syscall.ECONNREFUSED, syscall.ENOSPC, syscall.EDQUOT:
		sentinel = quarantine.ErrUnavailable
	case 0:
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			sentinel = quarantine.ErrUnavailable
		}
	}
	if sentinel == nil || errors.Is(err, sentinel) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, sentinel, err)
}

// gone reports ENOENT.
func gone(err error) bool { return errnoOf(err) == syscall.ENOENT }
