"""Templates: from folders of files to the subject, text and HTML of one mail.

    Catalogue.load(folders, brand)      everything read, checked and compiled; or TemplatesBroken
    catalogue.get("welcome")            a Template; or TemplateUnknown
    template.render(locale, data)       Rendered; or VariablesInvalid, RenderFailed

Flow:    folders -> manifest, inline, sources, sandbox -> catalogue -> render; page, rules -> lint
Limits:  loading reads files and takes a fraction of a second: not on an event loop that serves.
         Rendering touches neither files nor network.
See:     docs/templates.md for those who write templates.
"""

from postroom.templating.brand import Brand
from postroom.templating.catalogue import Catalogue, TemplateUnknown
from postroom.templating.logo import Logo
from postroom.templating.problems import TemplateProblem, TemplatesBroken
from postroom.templating.render import Rendered, RenderFailed, Template
from postroom.templating.variables import Variable, VariableProblem, VariablesInvalid

__all__ = [
    "Brand",
    "Catalogue",
    "Logo",
    "RenderFailed",
    "Rendered",
    "Template",
    "TemplateProblem",
    "TemplateUnknown",
    "TemplatesBroken",
    "Variable",
    "VariableProblem",
    "VariablesInvalid",
]
