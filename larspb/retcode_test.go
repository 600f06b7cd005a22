package larspb

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestRetCodeRoundTrip(t *testing.T) {
	want := map[RetCode]error{
		RetCode_RET_SUCC:         nil,
		RetCode_RET_OVERLOAD:     ErrOverload,
		RetCode_RET_SYSTEM_ERROR: ErrSystem,
		RetCode_RET_NOEXIST:      ErrNoExist,
	}
	for number := range RetCode_name {
		code := RetCode(number)
		sentinel, known := want[code]
		if !known {
			t.Errorf("%v has no error", code)
		}
		if err := code.Err(); err != sentinel {
			t.Errorf("%v.Err() = %v, want %v", code, err, sentinel)
		}
		if back := RetCodeOf(code.Err()); back != code {
			t.Errorf("RetCodeOf(%v) = %v, want %v", code.Err(), back, code)
		}
		if sentinel == nil {
			continue
		}
		if back := RetCodeOf(fmt.Errorf("client: get host 1/2: %w", sentinel)); back != code {
			t.Errorf("wrapped: %v, want %v", back, code)
		}
	}
}

func TestRetCodeUnknown(t *testing.T) {
	for _, code := range []RetCode{-1, 4, 99} {
		err := code.Err()
		if !errors.Is(err, ErrSystem) || !strings.Contains(err.Error(), fmt.Sprint(int32(code))) {
			t.Errorf("code %d: %v, want ErrSystem with the number", code, err)
		}
	}
	if code := RetCodeOf(io.EOF); code != RetCode_RET_SYSTEM_ERROR {
		t.Errorf("a foreign error is %v", code)
	}
}
