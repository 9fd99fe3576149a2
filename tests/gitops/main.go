// Judges objects as Flux and Argo CD do: with kstatus, the library behind Flux's health checks, or by a script in Lua, run as Argo CD
// runs those that it is given.
//
// Each line of standard input is {"object": …}, with "script" where that is to be run for it. Each line of standard output is
// {"flux": status, "message": …} or {"argo": what the script returned}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Object map[string]any `json:"object"`
	Script string         `json:"script"`
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	decoder := json.NewDecoder(lines)
	answers := json.NewEncoder(os.Stdout)
	for decoder.More() {
		var asked question
		if err := decoder.Decode(&asked); err != nil {
			fail("read a question", err)
		}
		answer, err := judge(asked)
		if err != nil {
			fail("judge", err)
		}
		if err := answers.Encode(answer); err != nil {
			fail("write an answer", err)
		}
	}
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
	os.Exit(1)
}

func judge(asked question) (map[string]any, error) {
	if asked.Script != "" {
		answer, err := run(asked.Script, asked.Object)
		return map[string]any{"argo": answer}, err
	}
	object := unstructured.Unstructured{Object: whole(asked.Object).(map[string]any)}
	result, err := status.Compute(&object)
	if err != nil {
		return nil, err
	}
	return map[string]any{"flux": result.Status.String(), "message": result.Message}, nil
}

// Makes the whole numbers in a value the integers that Kubernetes' libraries read.
func whole(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			value[key] = whole(inner)
		}
	case []any:
		for i, inner := range value {
			value[i] = whole(inner)
		}
	case float64:
		if value == float64(int64(value)) {
			return int64(value)
		}
	}
	return value
}

// Runs a script as Argo CD does: with the global obj, without libraries that reach the machine.
func run(script string, object map[string]any) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}, {lua.StringLibName, lua.OpenString}, {lua.OsLibName, openTime}} {
		call := lua.P{Fn: state.NewFunction(library.open), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	return fromLua(state.Get(-1)), nil
}

// Of the library os, Argo CD has the time and the date.
func openTime(state *lua.LState) int {
	lua.OpenOs(state)
	all := state.Get(-1).(*lua.LTable)
	safe := state.NewTable()
	safe.RawSetString("time", all.RawGetString("time"))
	safe.RawSetString("date", all.RawGetString("date"))
	state.SetGlobal("os", safe)
	return 0
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.NewTable()
		for _, inner := range value {
			table.Append(toLua(state, inner))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, inner := range value {
			table.RawSetString(key, toLua(state, inner))
		}
		return table
	default:
		return lua.LNil
	}
}

func fromLua(value lua.LValue) any {
	switch value := value.(type) {
	case lua.LBool:
		return bool(value)
	case lua.LNumber:
		return float64(value)
	case lua.LString:
		return string(value)
	case *lua.LTable:
		if value.Len() > 0 {
			list := []any{}
			for i := 1; i <= value.Len(); i++ {
				list = append(list, fromLua(value.RawGetInt(i)))
			}
			return list
		}
		object := map[string]any{}
		value.ForEach(func(key, inner lua.LValue) { object[key.String()] = fromLua(inner) })
		return object
	default:
		return nil
	}
}
