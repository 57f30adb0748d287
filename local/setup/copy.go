package setup

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Copy copies the project's files into a new folder, for a trial of a change. The npm packages that are installed are linked
// to, and nothing that was built is copied.
func Copy(root, to string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		source, target := filepath.Join(root, e.Name()), filepath.Join(to, e.Name())
		switch name := e.Name(); {
		case name == ".git", name == ".build", name == "cdk.out":
		case name == "node_modules":
			err = os.Symlink(source, target)
		case e.IsDir():
			err = os.CopyFS(target, os.DirFS(source))
		default:
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				err = copyFile(source, target, info.Mode())
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
