"""Names of images that are markup, formulas, lines, commands, or that lead out of a folder."""

MARKUP = "<img src=x onerror=alert(1)>.png"
HOSTILE = (MARKUP, "=1+1.png", "a\nb.png", "\x1b[31mred.png", "'; drop table x; --.png")
OUTSIDE = ("../secret.png", "/etc/hostname", "b/../../secret.png", ".hidden.png")
