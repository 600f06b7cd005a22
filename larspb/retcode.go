package larspb

import (
	"errors"
	"fmt"
)

// The errors that an agent's return code stands for.
var (
	ErrOverload = errors.New("all hosts of the service are overloaded")
	ErrSystem   = errors.New("the agent met an error of its own")
	ErrNoExist  = errors.New("no such service, or its hosts are not known yet")
)

// Err returns the error that the code stands for: nil for RET_SUCC, and
// ErrSystem, with the number, for a code that this version does not know.
func (c RetCode) Err() error {
	switch c {
	case RetCode_RET_SUCC:
		return nil
	case RetCode_RET_OVERLOAD:
		return ErrOverload
	case RetCode_RET_SYSTEM_ERROR:
		return ErrSystem
	case RetCode_RET_NOEXIST:
		return ErrNoExist
	}
	return fmt.Errorf("%w (return code %d)", ErrSystem, int32(c))
}

// RetCodeOf is the inverse of Err. An error of another kind is
// RET_SYSTEM_ERROR.
func RetCodeOf(err error) RetCode {
	switch {
	case err == nil:
		return RetCode_RET_SUCC
	case errors.Is(err, ErrOverload):
		return RetCode_RET_OVERLOAD
	case errors.Is(err, ErrNoExist):
		return RetCode_RET_NOEXIST
	}
	return RetCode_RET_SYSTEM_ERROR
}
