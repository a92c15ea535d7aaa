// Ways from a page to the repository that it comes from. BOOK_SOURCE holds the repository's address; without it there are none.
// Addresses are built here alone, in the schemes of GitHub, GitLab and Forgejo (of which Codeberg is one).

const encoded = (path) => path.replace(/^\//, "").split("/").map(encodeURIComponent).join("/");
const query = (parameters) => new URLSearchParams(parameters).toString().replaceAll("+", "%20");

const SCHEMES = {
  github: {
    page: (at) => `${at.home}/blob/${at.branch}/`,
    edit: (at) => `${at.home}/edit/${at.branch}/`,
    archive: (at, tag) => `${at.home}/archive/refs/tags/${tag}.tar.gz`,
    issue: (at) => ({ form: `${at.home}/issues/new`, title: "title", body: "body" }),
    binder: (at) => `gh/${at.path}/`,
  },
  gitlab: {
    page: (at) => `${at.home}/-/blob/${at.branch}/`,
    edit: (at) => `${at.home}/-/edit/${at.branch}/`,
    archive: (at, tag) => `${at.home}/-/archive/${tag}/${at.name}-${tag}.tar.gz`,
    issue: (at) => ({ form: `${at.home}/-/issues/new`, title: "issue[title]", body: "issue[description]" }),
    binder: (at) => (at.host === "gitlab.com" ? `gl/${encodeURIComponent(at.path)}/` : `git/${encodeURIComponent(at.home)}/`),
  },
  forgejo: {
    page: (at) => `${at.home}/src/branch/${at.branch}/`,
    edit: (at) => `${at.home}/_edit/${at.branch}/`,
    archive: (at, tag) => `${at.home}/archive/${tag}.tar.gz`,
    issue: (at) => ({ form: `${at.home}/issues/new`, title: "title", body: "body" }),
    binder: (at) => `git/${encodeURIComponent(at.home)}/`,
  },
};
const HOSTS = { github: /(^|\.)github\./, gitlab: /(^|\.)gitlab\./, forgejo: /(^|\.)(codeberg|forgejo|gitea)\./ };
const BINDER = "https://mybinder.org/v2/";

/**
 * What can be reached in the repository at an address, or null if there is no address. It may end in a branch
 * (`#develop`, else `main`), and begin with the scheme of its hosting (`forgejo+https:`) where its name does not tell.
 */
export function repository(address) {
  if (!address) return null;
  const found = /^(?:(\w+)\+)?(https?:\/\/([^/]+)\/([^#?]+?\/([^/#?]+?)))(?:\.git)?\/?(?:#(.+))?$/.exec(address);
  const [, named, home, host, path, name, branch = "main"] = found ?? [];
  const scheme = SCHEMES[named ?? Object.keys(HOSTS).find((kind) => HOSTS[kind].test(host ?? ""))];
  if (!scheme) {
    throw new Error(`BOOK_SOURCE is "${address}". It must be the address of a repository at GitHub, GitLab or Codeberg, such as https://codeberg.org/owner/name, `
      + `with #branch at its end if that is not main. For another host, say how it is built: ${Object.keys(SCHEMES).map((kind) => `${kind}+https://`).join(", ")}.`);
  }
  const at = { home, host, path, name, branch: encoded(branch) };
  return {
    home,
    page: (file) => scheme.page(at) + encoded(file),
    edit: (file) => scheme.edit(at) + encoded(file),
    archive: (tag) => scheme.archive(at, encodeURIComponent(tag)),
    /** The form for a new issue, filled in; and the name of the field in which a text can be changed. */
    issue: (title, body) => {
      const fields = scheme.issue(at);
      return { address: `${fields.form}?${query({ [fields.title]: title, [fields.body]: body })}`, field: fields.body };
    },
    /** JupyterLab in the cloud, with a file open in it. */
    binder: (file) => `${BINDER}${scheme.binder(at)}${encodeURIComponent(branch)}?${query({ urlpath: `lab/tree/${encoded(file)}` })}`,
  };
}

/** The repository of this book, if it has one. */
export const ownRepository = () => repository(process.env.BOOK_SOURCE);
