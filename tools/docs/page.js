for (const box of document.querySelectorAll('.box')) {
  const button = box.appendChild(document.createElement('button'))
  button.textContent = 'Copy'
  button.onclick = async () => {
    await navigator.clipboard.writeText(box.firstChild.textContent)
    button.textContent = 'Copied'
    setTimeout(() => (button.textContent = 'Copy'), 2000)
  }
}
